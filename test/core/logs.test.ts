import { describe, expect, test } from 'vitest';
import { LogBuffer, redact } from '../../src/core/logs.ts';

const bytes = (text: string) => Buffer.from(text);

describe('a log', () => {
  test('keeps what fits and says when it did not', () => {
    const log = new LogBuffer(10);
    log.append(bytes('12345'));
    log.append(bytes('67890'));
    expect([log.text([]), log.truncated]).toEqual(['1234567890', false]);
    log.append(bytes('x'));
    expect([log.text([]), log.truncated]).toEqual(['1234567890', true]);
  });

  test('cuts a chunk that fits in part', () => {
    const log = new LogBuffer(3);
    log.append(bytes('abcdef'));
    expect([log.text([]), log.truncated]).toEqual(['abc', true]);
  });

  test('takes its own copy: a chunk is a view of a read that is used again', () => {
    const log = new LogBuffer(100);
    const chunk = bytes('before');
    log.append(chunk);
    chunk.fill(0);
    expect(log.text([])).toBe('before');
  });

  test('costs nothing for chunks without content, however many', () => {
    const log = new LogBuffer(100);
    const nothing = new Uint8Array();
    const before = process.memoryUsage();
    for (let chunk = 0; chunk < 500_000; chunk++) log.append(nothing);
    const after = process.memoryUsage();
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(20e6);
    expect([log.text([]), log.truncated]).toEqual(['', false]);
  });

  test('joins a character whose bytes came in two chunks', () => {
    const log = new LogBuffer(100);
    const euro = bytes('€');
    log.append(euro.subarray(0, 1));
    log.append(euro.subarray(1));
    expect(log.text([])).toBe('€');
  });

  test('shows bytes that are no text as replacement characters', () => {
    const log = new LogBuffer(100);
    log.append(Uint8Array.of(0x61, 0xff, 0x62));
    expect(log.text([])).toBe('a\u{fffd}b');
  });

  test('masks a secret that came in two chunks', () => {
    const log = new LogBuffer(100);
    log.append(bytes('key=hun'));
    log.append(bytes('ter2!'));
    expect(log.text(['hunter2'])).toBe('key=***!');
  });
});

describe('masking', () => {
  test.for<[string, string, string[], string]>([
    ['every occurrence', 'a hunter2 b hunter2', ['hunter2'], 'a *** b ***'],
    ['a secret that contains another, whole', 'hunter2hunter', ['hunter', 'hunter2hunter'], '***'],
    ['secrets that overlap, both', 'abcdefghi', ['abcdef', 'defghi'], '***'],
    ['a secret that overlaps itself', 'ababab', ['abab'], '***'],
    ['nothing for short values, which would mask half of the text', 'on 1 on', ['on', '1', ''], 'on 1 on'],
    ['values with characters that are special in patterns', 'a $&.*+ b', ['$&.*+'], 'a *** b'],
    ['a secret of several lines', 'x\nfirst\nsecond\ny', ['first\nsecond'], 'x\n***\ny'],
    ['a secret printed without its last newline', 'key: hunter2.', ['hunter2\n'], 'key: ***.'],
    [
      'the lines of a secret one by one',
      '1: line-one-of-it\n2: line-two-of-it',
      ['line-one-of-it\nline-two-of-it'],
      '1: ***\n2: ***',
    ],
    ['a secret in JSON', '{"k":"a\\"b\\nc"}', ['a"b\nc'], '{"k":"***"}'],
    ['nothing when there are none', 'text', [], 'text'],
  ])('%s', ([, text, secrets, masked]) => {
    expect(redact(text, secrets)).toBe(masked);
  });
});
