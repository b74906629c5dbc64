import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { exchange, problemIn, Raw, request, statusesIn } from './raw.ts';
import { Served } from './served.ts';

const MAX_BODY_BYTES = 1_000;
const ECHO = `def handler(event, context):
    http = event["requestContext"]["http"]
    return {"method": http["method"], "path": event["rawPath"], "size": len(event.get("body") or "")}`;

let gateway: Served;
const say = (bytes: string) => exchange(gateway.port, bytes);
const get = (path: string) => say(request(`GET ${path}`));
const bodyOf = (text: string) => JSON.parse(text.slice(text.lastIndexOf('\r\n\r\n') + 4)) as unknown;

/** A request that could be taken for two, or for another than whoever stands in front of the gateway took it for. */
const AMBIGUOUS: Record<string, string> = {
  'a length and chunks': post(['content-length: 4', 'transfer-encoding: chunked'], '0\r\n\r\n'),
  'chunks and a length': post(['transfer-encoding: chunked', 'content-length: 4'], '0\r\n\r\n'),
  'two lengths': post(['content-length: 4', 'content-length: 5'], '12345'),
  'the same length twice': post(['content-length: 4', 'content-length: 4'], '1234'),
  'a list of lengths': post(['content-length: 4, 4'], '1234'),
  'a length with a sign': post(['content-length: +4'], '1234'),
  'a negative length': post(['content-length: -4'], '1234'),
  'a length in hexadecimal': post(['content-length: 0x4'], '1234'),
  'a coding that only looks like chunks': post(['transfer-encoding: xchunked'], '0\r\n\r\n'),
  'chunks that are not last': post(['transfer-encoding: chunked, identity'], '0\r\n\r\n'),
  'two codings': post(['transfer-encoding: chunked', 'transfer-encoding: identity'], '0\r\n\r\n'),
  'a space before the colon': post(['transfer-encoding : chunked'], '0\r\n\r\n'),
  'a vertical tab before a coding': post(['transfer-encoding:\x0bchunked'], '0\r\n\r\n'),
  'a folded header': request('GET /e/open', ['x-folded: 1\r\n 2']),
  'lines that end with LF alone': 'GET /e/open HTTP/1.1\nhost: gateway\n\n',
  'a CR within a line': 'GET /e/open HTTP/1.1\r\nhost: gateway\rx-other: 1\r\n\r\n',
  'a NUL in a header': request('GET /e/open', ['x-nul: 1\0']),
  'two hosts': request('GET /e/open', ['host: other']),
  'a host that is none': 'GET /e/open HTTP/1.1\r\nhost: a/b@c\r\nconnection: close\r\n\r\n',
  'no host': 'GET /e/open HTTP/1.1\r\nconnection: close\r\n\r\n',
  'a chunk size that is none': post(['transfer-encoding: chunked'], 'zz\r\nab\r\n0\r\n\r\n'),
  'a chunk size beyond all numbers': post(['transfer-encoding: chunked'], 'FFFFFFFFFFFFFFFFF\r\nab\r\n'),
  'chunks that end with LF alone': post(['transfer-encoding: chunked'], '2\nab\n0\n\n'),
  'another protocol': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'the beginning of TLS': '\x16\x03\x01\x02\x00\x01\x00',
  'a method in lower case': request('get /e/open'),
  'a method that nobody knows': request('FETCH /e/open'),
  'a target that is no path': request('GET e/open'),
  'a target for the whole server': request('OPTIONS *'),
  'a backslash in the path': request('GET /e/open\\..\\x'),
};

function post(headers: string[], body: string): string {
  return request('POST /e/open', headers, body);
}

await onEngine('bubblewrap', () => {
  beforeAll(async () => {
    const env = {
      MAX_BODY_BYTES: String(MAX_BODY_BYTES),
      HEADERS_TIMEOUT_MS: '1000',
      REQUEST_TIMEOUT_MS: '3000',
    };
    gateway = await Served.start({ env });
    await gateway.deploy('open', 'python', ECHO, { auth: 'public' });
  });
  afterAll(async () => {
    const ended = await gateway.stop();
    await gateway[Symbol.asyncDispose]();
    expect(ended).toEqual({ code: 0, left: [] });
  });

  test.each(Object.entries(AMBIGUOUS))('%s is refused, and nothing after it is heard', async (_, bytes) => {
    const answer = await say(`${bytes}GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n`);
    expect(statusesIn(answer)[0]).toBe(400);
    expect(answer).not.toContain('"status":"ok"');
    if (statusesIn(answer).length === 1) expect(problemIn(answer)).toMatchObject({ code: 'bad_request' });
  });

  test.each([
    ['one header', [`x-big: ${'x'.repeat(20_000)}`]],
    ['a flood of headers', Array.from({ length: 3_000 }, (_, i) => `x-${i}: 1`)],
    ['a flood of the same header', Array.from({ length: 5_000 }, () => 'x: ')],
  ])('%s over the limit is refused with 431', async (_, headers) => {
    const answer = await say(request('GET /e/open', headers));
    expect(problemIn(answer)).toMatchObject({ status: 431, code: 'headers_too_large' });
  });

  test('a path over the limit is refused with 431, and a long one below it is the function’s', async () => {
    expect(problemIn(await get(`/e/open/${'x'.repeat(20_000)}`))).toMatchObject({ status: 431 });
    const long = `/${'x'.repeat(10_000)}`;
    expect(bodyOf(await get(`/e/open${long}`))).toMatchObject({ path: long });
  });

  describe('a path', () => {
    test.each([
      ['/e/../v1/events', 401],
      ['/e/%2e%2e/v1/events', 401],
      ['/e/%2E%2e%2fv1/events', 404],
      ['/e/open/../../v1/events', 401],
      ['/e/open/../other', 404],
      ['//e//open', 404],
      ['/e//open', 404],
      ['/e/', 404],
      ['/e/.', 404],
      ['/e/%00', 404],
      ['/e/open%00', 404],
      ['/e/open%2fx', 404],
      ['/e/%ff', 404],
      ['/e/%', 404],
      ['/e/Open', 404],
      ['/e/open;x=1', 404],
      ['/e/open@', 404],
      ['/e/open@0', 404],
      ['/e/open@1@1', 404],
      ['/e/open@1e0', 404],
      ['/e/__proto__', 404],
      ['/e/constructor', 404],
      [`/e/${'x'.repeat(5_000)}`, 404],
    ])('%s leads to nothing that its plain form does not', async (path, status) => {
      expect(problemIn(await get(path))).toMatchObject({ status });
    });

    test.each([
      ['/e/open', '/'],
      ['/e/o%70en', '/'],
      ['/e/open@1', '/'],
      ['/e/open/%ff?x=%ff', '/%ff'],
      ['/e/open/a//b', '/a//b'],
      ['/e/open/%2e%2e%2fx', '/%2e%2e%2fx'],
      ['/e/open?%zz=1', '/'],
      ['http://elsewhere/e/open/x', '/x'],
    ])('%s is the function’s, as it was written', async (path, rawPath) => {
      expect(bodyOf(await get(path))).toMatchObject({ path: rawPath });
    });
  });

  describe('a method', () => {
    test.each(['OPTIONS', 'PROPFIND', 'QUERY', 'TRACE', 'M-SEARCH'])(
      '%s is the function’s on its URL, and not allowed on the API',
      async (method) => {
        expect(bodyOf(await say(request(`${method} /e/open`)))).toMatchObject({ method });
        expect(problemIn(await say(request(`${method} /v1/events`)))).toMatchObject({ status: 405 });
      },
    );

    test('HEAD is answered with the head of the answer and nothing more', async () => {
      const answer = await say(request('HEAD /e/open'));
      expect(statusesIn(answer)).toEqual([200]);
      expect(answer).toMatch(/content-length: [1-9]/);
      expect(answer.endsWith('\r\n\r\n')).toBe(true);
    });

    test.each(['/e/open', 'example.com:443'])('CONNECT to %s is refused', async (target) => {
      expect(problemIn(await say(request(`CONNECT ${target}`)))).toMatchObject({ status: 405 });
    });
  });

  describe('a body', () => {
    const tooLarge = { status: 413, code: 'body_too_large' };

    test('over the limit is refused, declared or in chunks, before it has all come', async () => {
      expect(
        problemIn(await say(post([`content-length: ${2 ** 40}`, 'connection: close'], 'x'))),
      ).toMatchObject(tooLarge);
      const chunk = `400\r\n${'x'.repeat(0x400)}\r\n`;
      const chunks = ['transfer-encoding: chunked', 'connection: close'];
      expect(problemIn(await say(post(chunks, chunk)))).toMatchObject(tooLarge);
      expect(problemIn(await say(post(chunks, `2;${'x'.repeat(20_000)}\r\n`)))).toMatchObject(tooLarge);
    });

    test('of just the limit is taken', async () => {
      const body = 'x'.repeat(MAX_BODY_BYTES);
      const headers = [`content-length: ${MAX_BODY_BYTES}`, 'content-type: text/plain', 'connection: close'];
      expect(bodyOf(await say(post(headers, body)))).toMatchObject({ size: MAX_BODY_BYTES });
    });

    test('that is announced is asked for', async () => {
      using raw = await Raw.to(gateway.port);
      raw.write(post(['expect: 100-continue', 'content-length: 2', 'connection: close'], ''));
      await raw.until(/100 Continue/);
      const answer = await raw.write('hi').toEnd();
      expect(statusesIn(answer)).toEqual([100, 200]);
      expect(
        statusesIn(await say(post(['expect: miracles', 'content-length: 0', 'connection: close'], ''))),
      ).toEqual([417]);
    });

    test.each([
      ['nothing', '', 400],
      ['a half', '{"name": "x", ', 400],
      ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 400],
      ['two values', '{}{}', 400],
      ['no object', '[]', 422],
      ['nesting without end', '['.repeat(100_000), 400],
      ['members of a prototype', '{"__proto__": {"admin": true}}', 422],
    ])('of %s on the API is refused, and told why', async (_, body, status) => {
      const answer = await gateway.send('/v1/events', { method: 'POST', body });
      expect(answer.problem).toMatchObject({
        status,
        code: status === 400 ? 'invalid_json' : 'validation_failed',
      });
    });
  });

  describe('a slow client', () => {
    const tooSlow = { status: 408, code: 'request_timeout' };

    test.each([
      ['that stops in its headers', 'GET /e/open HTTP/1.1\r\nhost: gateway\r\n'],
      ['that stops in its body', post(['content-length: 10'], '12')],
      ['that stops between chunks', post(['transfer-encoding: chunked'], '2\r\nab\r\n')],
    ])('%s is cut with 408', async (_, bytes) => {
      expect(problemIn(await say(bytes))).toMatchObject(tooSlow);
    });

    test.each([
      ['headers', 'GET /e/open HTTP/1.1\r\n', 'x: y\r\n'],
      ['a body', post(['content-length: 900'], ''), 'x'],
    ])('that dribbles %s is cut with 408, however often it says something', async (_, beginning, drop) => {
      using raw = await Raw.to(gateway.port);
      raw.write(beginning);
      const timer = setInterval(() => raw.write(drop), 50);
      const answer = await raw.toEnd().finally(() => clearInterval(timer));
      expect(problemIn(answer)).toMatchObject(tooSlow);
    });

    test('that says nothing at all is cut too', async () => {
      using raw = await Raw.to(gateway.port);
      await raw.toEnd();
    });
  });

  test('requests that follow each other without waiting are answered in their order', async () => {
    const paths = Array.from({ length: 12 }, (_, i) => `/e/open/${i}`);
    const requests = paths.map((path) => request(`GET ${path}`, [])).join('');
    const answer = await say(requests + request('GET /healthz'));
    expect(statusesIn(answer)).toEqual(Array.from({ length: 13 }, () => 200));
    expect([...answer.matchAll(/"path":"\/(\d+)"/g)].map((match) => Number(match[1]))).toEqual(
      paths.map((_, i) => i),
    );
  });

  test('after all that it serves as before', async () => {
    expect(bodyOf(await get('/e/open/x'))).toEqual({ method: 'GET', path: '/x', size: 0 });
    await gateway.idle();
  });
});
