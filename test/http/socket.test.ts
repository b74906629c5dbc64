import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { answer, Harness, listen } from './harness.ts';

let gateway: Harness;
let server: Awaited<ReturnType<typeof listen>>;
beforeEach(async () => {
  gateway = await Harness.open();
  await gateway.deploy({ name: 'open', auth: 'public' });
  server = await listen(gateway.app);
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

/** Sends bytes as they are and collects what comes back until the socket closes. */
async function raw(
  ...parts: string[]
): Promise<{ socket: Socket; text: () => string; closed: Promise<unknown> }> {
  const socket = connect(server.port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  for (const part of parts) socket.write(part);
  return { socket, text: () => text, closed };
}

/** A stream that gives one chunk and then waits. */
function hanging() {
  const cancelled = Promise.withResolvers<void>();
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
      controller.enqueue(Buffer.from('first'));
    },
    cancel: () => cancelled.resolve(),
  });
  return { body, cancelled: cancelled.promise, fail: (error: Error) => controller.error(error) };
}

describe('on a real socket', () => {
  test('a client that goes before the answer aborts the call', async () => {
    const aborted = Promise.withResolvers<void>();
    gateway.answer = (_request, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.resolve();
          reject(signal.reason);
        });
      });
    const client = await raw('POST /e/open HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi');
    await vi.waitFor(() => expect(gateway.calls).toHaveLength(1));
    client.socket.destroy();
    await aborted.promise;
  });

  test('a client that goes in the middle of a stream aborts the call and cancels the stream', async () => {
    const stream = hanging();
    const aborted = Promise.withResolvers<void>();
    gateway.answer = (_request, signal) => {
      signal.addEventListener('abort', () => aborted.resolve());
      return answer({ body: stream.body });
    };
    const client = await raw('GET /e/open HTTP/1.1\r\nHost: h\r\n\r\n');
    await vi.waitFor(() => expect(client.text()).toContain('first'));
    client.socket.destroy();
    await Promise.all([aborted.promise, stream.cancelled]);
  });

  test('a call that was answered whole is not aborted afterwards', async () => {
    let signal: AbortSignal | undefined;
    gateway.answer = (_request, given) => {
      signal = given;
      return answer();
    };
    const client = await raw(
      'POST /e/open HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi',
    );
    await client.closed;
    expect(client.text()).toMatch(
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 11\r\n[\s\S]*\{"ok":true\}$/i,
    );
    expect(signal?.aborted).toBe(false);
  });

  test.each(['at once', 'later'])(
    'a stream that fails %s cuts the connection, with nothing of the reason',
    async (when) => {
      const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
      const stream = hanging();
      gateway.answer = () => answer({ body: stream.body });
      if (when === 'at once') stream.fail(new Error('secret reason'));
      const client = await raw('GET /e/open HTTP/1.1\r\nHost: h\r\n\r\n');
      if (when === 'later') {
        await vi.waitFor(() => expect(client.text()).toContain('first'));
        stream.fail(new Error('secret reason'));
      }
      await client.closed;
      expect(client.text()).not.toContain('secret');
      expect(client.text()).not.toMatch(/0\r\n\r\n$/);
      expect(printed).not.toHaveBeenCalled();
      printed.mockRestore();
      expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    },
  );

  test('fetch sees a cut stream as an error and not as a short answer', async () => {
    const stream = hanging();
    gateway.answer = () => answer({ body: stream.body });
    const response = await fetch(`${server.url}/e/open`);
    stream.fail(new Error('gone'));
    await expect(response.text()).rejects.toThrow();
  });

  test('a stream that ends normally arrives whole', async () => {
    gateway.answer = () => answer({ body: ReadableStream.from([Buffer.from('one '), Buffer.from('two')]) });
    expect(await (await fetch(`${server.url}/e/open`)).text()).toBe('one two');
  });

  test('a slow client holds a stream back', async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
    });
    gateway.answer = () => answer({ body });
    const client = await raw('GET /e/open HTTP/1.1\r\nHost: h\r\n\r\n');
    client.socket.pause();
    await vi.waitFor(() => expect(sent).toBeGreaterThan(0));
    let before = -1;
    await vi.waitFor(
      () => {
        const settled = before === sent;
        before = sent;
        expect(settled).toBe(true);
      },
      { interval: 100, timeout: 4_000 },
    );
    expect(sent).toBeLessThan(64 * 2 ** 20);
    client.socket.destroy();
  });

  test('a chunked body without a length is refused at the limit, while it still comes', async () => {
    const chunk = `190\r\n${'x'.repeat(400)}\r\n`;
    const head =
      'POST /e/open HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n';
    const client = await raw(head, chunk, chunk, chunk);
    await vi.waitFor(() => expect(client.text()).toMatch(/^HTTP\/1\.1 413 /));
    expect(client.text()).toContain('"code":"body_too_large"');
    expect(gateway.calls).toEqual([]);
    client.socket.destroy();
  });

  test('a chunked body within the limit arrives whole', async () => {
    const request = httpRequest(`${server.url}/e/open`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
    });
    request.write('x'.repeat(500));
    request.end('y'.repeat(500));
    const [response] = await once(request, 'response');
    response.resume();
    expect(response.statusCode).toBe(200);
    expect(gateway.calls[0]?.payload).toMatchObject({ body: `${'x'.repeat(500)}${'y'.repeat(500)}` });
  });

  test('a declared length beyond the limit is refused before the body comes', async () => {
    const client = await raw('POST /e/open HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n');
    await vi.waitFor(() => expect(client.text()).toMatch(/^HTTP\/1\.1 413 /));
    client.socket.destroy();
  });

  test('a client that goes in the middle of its body makes no call and no noise', async () => {
    const client = await raw('POST /e/open HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf');
    client.socket.destroy();
    await client.closed;
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(gateway.calls).toEqual([]);
    expect(gateway.logged).toEqual([]);
  });

  test('HEAD has the head of GET and no body, streamed or whole', async () => {
    const stream = hanging();
    const bodies = [Buffer.from('12345'), stream.body];
    gateway.answer = () => answer({ headers: { 'content-type': 'text/plain' }, body: bodies.shift()! });
    const whole = await raw('HEAD /e/open HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    await whole.closed;
    expect(whole.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 5\r\n[\s\S]*\r\n\r\n$/i);
    const streamed = await raw('HEAD /e/open HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    await Promise.all([streamed.closed, stream.cancelled]);
    expect(streamed.text()).toMatch(/\r\n\r\n$/);
    expect(gateway.calls[0]?.payload).toMatchObject({ requestContext: { http: { method: 'HEAD' } } });
  });

  test('the source address is the socket’s, whatever the headers say', async () => {
    await fetch(`${server.url}/e/open/x?y='z'`, { headers: { 'x-forwarded-for': '203.0.113.9' } });
    expect(gateway.calls[0]?.payload).toMatchObject({
      rawPath: '/x',
      requestContext: { http: { sourceIp: '127.0.0.1', protocol: 'HTTP/1.1' }, domainName: '127.0.0.1' },
    });
  });

  test('several cookies arrive as several headers', async () => {
    gateway.answer = () => answer({ cookies: ['a=1', 'b=2'] });
    expect((await fetch(`${server.url}/e/open`)).headers.getSetCookie()).toEqual(['a=1', 'b=2']);
  });

  test('problems and deploys work over the socket too', async () => {
    const headers = { ...(await gateway.bearer('alice')), 'content-type': 'application/json' };
    const deploy = (text: string) =>
      fetch(`${server.url}/v1/events`, { method: 'POST', headers, body: text });
    const code = JSON.stringify({ name: 'n', runtime: 'bash', code: 'echo' });
    expect((await deploy(code)).status).toBe(201);
    expect((await deploy(code)).status).toBe(409);
    const malformed = await deploy('{');
    expect([malformed.status, await malformed.json()]).toMatchObject([400, { code: 'invalid_json' }]);
    expect((await fetch(`${server.url}/v1/events`)).headers.get('www-authenticate')).toBe(
      'Bearer realm="cronium"',
    );
  });
});
