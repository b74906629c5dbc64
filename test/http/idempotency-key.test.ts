import { describe, expect, test } from 'vitest';
import { keyOf } from '../../src/http/idempotency-key.ts';

describe('an Idempotency-Key is', () => {
  test.each([
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['"8e03978e-40d5"', '8e03978e-40d5'],
    ['"with blanks, commas"', 'with blanks, commas'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('%s', (header, key) => {
    expect(keyOf(header)).toBe(key);
  });

  test.each(['', '""', 'two words', 'a,b', '"a', 'a"', '"a"b"', 'é', '"\\a"', 'x'.repeat(256), '\u0001'])(
    'not %j',
    (header) => {
      expect(() => keyOf(header)).toThrow(expect.objectContaining({ code: 'bad_request' }));
    },
  );
});
