import { describe, expect, test } from 'vitest';
import { responseOf as responseOfResult } from '../../src/core/response.ts';
import { GatewayError } from '../../src/errors.ts';

/** As the agent's connection gives it. */
const responseOf = (value: unknown) => responseOfResult({ value, json: Buffer.from(stringify(value)) });

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value ?? null);
  } catch {
    return '['.repeat(1e6) + ']'.repeat(1e6);
  }
}

const json = { 'content-type': 'application/json' };

describe('what a function returned, as a response', () => {
  test.for<
    [
      string,
      unknown,
      { statusCode: number; headers?: Record<string, string>; cookies?: string[]; body: string },
    ]
  >([
    ['a string is JSON too', 'hello', { statusCode: 200, body: '"hello"' }],
    ['null', null, { statusCode: 200, body: 'null' }],
    ['nothing at all', undefined, { statusCode: 200, body: 'null' }],
    ['a number', 42, { statusCode: 200, body: '42' }],
    ['an array', [{ statusCode: 500 }], { statusCode: 200, body: '[{"statusCode":500}]' }],
    ['an object without a status', { body: 'x' }, { statusCode: 200, body: '{"body":"x"}' }],
    ['only a status', { statusCode: 204 }, { statusCode: 204, body: '' }],
    ['a body of text', { statusCode: 201, body: 'made' }, { statusCode: 201, body: 'made' }],
    ['a body that is no text', { statusCode: 200, body: { a: 1 } }, { statusCode: 200, body: '{"a":1}' }],
    [
      'a body in base64',
      { statusCode: 200, body: 'aGk=', isBase64Encoded: true },
      { statusCode: 200, body: 'hi' },
    ],
    [
      'header names of any case',
      { statusCode: 200, headers: { 'Content-Type': 'text/html', 'X-A': 1, b: true } },
      { statusCode: 200, headers: { 'content-type': 'text/html', 'x-a': '1', b: 'true' }, body: '' },
    ],
    [
      'cookies',
      { statusCode: 200, cookies: ['a=1', 'b=2'] },
      { statusCode: 200, cookies: ['a=1', 'b=2'], body: '' },
    ],
    [
      'members that are null',
      { statusCode: 200, headers: null, cookies: null, body: null, isBase64Encoded: null },
      { statusCode: 200, body: '' },
    ],
    ['members that nobody knows', { statusCode: 200, multiValueHeaders: {} }, { statusCode: 200, body: '' }],
  ])('%s', ([, value, expected]) => {
    const { body, ...head } = responseOf(value);
    const { body: text, ...expectedHead } = expected;
    expect(head).toEqual({ headers: json, cookies: [], ...expectedHead });
    expect(Buffer.from(body).toString()).toBe(text);
  });

  test.for<[string, unknown, string]>([
    ['a status that is no number', { statusCode: 'ok' }, 'statusCode'],
    ['an informational status', { statusCode: 101 }, 'statusCode'],
    ['a status that is none', { statusCode: 600 }, 'statusCode'],
    ['a header that is an object', { statusCode: 200, headers: { a: {} } }, 'headers.a'],
    ['cookies that are no list', { statusCode: 200, cookies: 'a=1' }, 'cookies'],
    [
      'headers that are more than a client reads',
      { statusCode: 200, headers: { a: 'x'.repeat(70_000) } },
      'headers',
    ],
    ['a header name with a space', { statusCode: 200, headers: { 'a b': 'c' } }, '"a b" is not the name'],
    [
      'a line break in a header',
      { statusCode: 200, headers: { a: 'b\r\nc: d' } },
      'the value of the header a',
    ],
    ['a line break in a cookie', { statusCode: 200, cookies: ['a=1\nb'] }, 'a cookie has characters'],
    ['very many cookies', { statusCode: 200, cookies: Array(40_000).fill('a=1') }, 'headers'],
  ])('%s is refused by name', ([, value, path]) => {
    expect(refusal(value)).toContain(`The function's response is not valid: ${path}`);
  });

  test('a value that is no response is passed on as it was written', () => {
    const json = Buffer.from('{"id": 9007199254740993, "2": 1.0, "1": 2}');
    expect(responseOfResult({ value: JSON.parse(json.toString()), json }).body).toBe(json);
  });

  test('the refusal is short, however long the wrong name', () => {
    const value = { statusCode: 200, headers: { ['x'.repeat(1e6)]: {} } };
    expect(refusal(value).length).toBeLessThan(600);
  });

  test('a header named __proto__ is a header and nothing else', () => {
    const value: unknown = JSON.parse(
      '{"statusCode":200,"headers":{"__proto__":{"a":1}},"__proto__":{"x":1}}',
    );
    expect(Object.getPrototypeOf(responseOf(value).headers)).toBe(Object.prototype);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  test('a value that is nested without end is answered or refused, and nothing worse', () => {
    const deep: unknown = JSON.parse('['.repeat(1e6) + ']'.repeat(1e6));
    for (const value of [deep, { statusCode: 200, body: deep }]) {
      try {
        expect(responseOf(value).body.byteLength).toBe(2e6);
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_response' });
      }
    }
  });
});

function refusal(value: unknown): string {
  try {
    responseOf(value);
  } catch (error) {
    expect(error).toBeInstanceOf(GatewayError);
    expect((error as GatewayError).code).toBe('invalid_response');
    return (error as GatewayError).message;
  }
  throw new Error('it was not refused');
}
