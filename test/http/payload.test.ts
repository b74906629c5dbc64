import { describe, expect, test } from 'vitest';
import { buildPayload, type PayloadSource } from '../../src/http/payload.ts';
import type { Principal } from '../../src/http/principal.ts';
import { draft } from '../contract/store.ts';
import { NOW } from './harness.ts';

const { limits, env, secrets, code, runtime, ...rest } = draft();
const current = { version: 3, runtime, code, codeSha256: '', limits, env, secrets, createdAt: NOW };
const event = { ...rest, id: 'event-id', ownerId: 'alice', createdAt: NOW, updatedAt: NOW, current };

function payload(changes: Partial<Omit<PayloadSource, 'headers'>> & { headers?: [string, string][] } = {}) {
  return buildPayload({
    requestId: 'request-id',
    event,
    principal: undefined,
    method: 'GET',
    url: 'http://fn.example.com:8787/e/hello',
    withholdAuthorization: true,
    body: new Uint8Array(),
    protocol: 'HTTP/1.1',
    sourceIp: '192.0.2.1',
    now: NOW,
    ...changes,
    headers: new Headers(changes.headers ?? []),
  });
}

describe('the payload of format 2.0', () => {
  test('of a bare anonymous GET is what Lambda sends, absent members absent', () => {
    const headers: [string, string][] = [
      ['Host', 'fn.example.com:8787'],
      ['User-Agent', 'curl/8'],
    ];
    expect(payload({ headers })).toEqual({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/',
      rawQueryString: '',
      headers: { host: 'fn.example.com:8787', 'user-agent': 'curl/8' },
      requestContext: {
        accountId: 'anonymous',
        apiId: 'hello',
        domainName: 'fn.example.com',
        domainPrefix: 'fn',
        http: {
          method: 'GET',
          path: '/',
          protocol: 'HTTP/1.1',
          sourceIp: '192.0.2.1',
          userAgent: 'curl/8',
        },
        requestId: 'request-id',
        routeKey: '$default',
        stage: '$default',
        time: '12/Mar/2020:19:03:58 +0000',
        timeEpoch: NOW.getTime(),
      },
      isBase64Encoded: false,
    });
  });

  test.each([
    ['/e/hello', '/', ''],
    ['/e/hello/', '/', ''],
    ['/e/hello/a/b', '/a/b', ''],
    ['/e/hello/a%2Fb%20c//d/?x=%C3%A9&x=2', '/a%2Fb%20c//d/', 'x=%C3%A9&x=2'],
    ["/e/hello?q='a'?b/c", '/', "q='a'?b/c"],
    ['/e/h%65llo/x', '/x', ''],
  ])('of %s has the path below the function and the query as they came', (target, path, query) => {
    const built = payload({ url: `http://localhost:1${target}` });
    expect([built.rawPath, built.rawQueryString]).toEqual([path, query]);
    expect(built.requestContext.http.path).toBe(path);
  });

  test('joins what comes twice with commas and decodes the query', () => {
    const built = payload({
      url: 'http://h/e/hello?a=1&b=x%20y+z&a=2&flag&__proto__=p',
      headers: [
        ['X-Many', 'one'],
        ['X-Many', 'two'],
        ['Cookie', 'a=1; b=2;  c="x"'],
      ],
    });
    expect(Object.entries(built.queryStringParameters ?? {})).toEqual([
      ['a', '1,2'],
      ['b', 'x y z'],
      ['flag', ''],
      ['__proto__', 'p'],
    ]);
    expect(built.headers).toEqual({ 'x-many': 'one, two' });
    expect(built.cookies).toEqual(['a=1', 'b=2', 'c="x"']);
  });

  test('tells who calls, and withholds the token that said so', () => {
    const claims = { sub: 'bob', scope: 'x y', exp: 1 };
    const principal: Principal = { userId: 'bob', scopes: new Set(['x', 'y']), tier: null, claims };
    const headers: [string, string][] = [['Authorization', 'Bearer token']];
    const built = payload({ principal, headers });
    expect(built.requestContext.authorizer).toEqual({ jwt: { claims, scopes: ['x', 'y'] } });
    expect(built.requestContext.accountId).toBe('alice');
    expect(JSON.stringify(built)).not.toContain('Bearer');
    const open = payload({ headers, withholdAuthorization: false });
    expect(open.headers).toEqual({ authorization: 'Bearer token' });
  });

  const utf8 = new TextEncoder().encode('\ufeffhéllo');
  const latin1 = Uint8Array.of(0x68, 0xe9);
  test.each<[string | undefined, Uint8Array, boolean]>([
    ['text/plain', utf8, false],
    ['application/json; charset=UTF-8', utf8, false],
    ['application/vnd.api+json', utf8, false],
    ['application/x-www-form-urlencoded', utf8, false],
    ['image/svg+xml', utf8, false],
    ['TEXT/HTML', utf8, false],
    ['text/plain', latin1, true],
    ['text/plain; charset=iso-8859-1', utf8, true],
    ['application/octet-stream', utf8, true],
    ['multipart/form-data; boundary=x', utf8, true],
    ['image/png', utf8, true],
    [undefined, utf8, true],
  ])('with a body of type %s holds its bytes (%#)', (type, body, isBase64Encoded) => {
    const built = payload({ method: 'POST', body, headers: type ? [['content-type', type]] : [] });
    expect(built.isBase64Encoded).toBe(isBase64Encoded);
    const bytes = Buffer.from(built.body ?? '', isBase64Encoded ? 'base64' : 'utf8');
    expect(bytes).toEqual(Buffer.from(body));
  });
});
