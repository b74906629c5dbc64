import { expect, test } from 'vitest';
import { Tail } from '../../src/sandbox/tail.ts';

test.for([1, 2, 3, 7, 10, 11, 25, 100])('the last bytes are kept when they come %i at a time', (size) => {
  const text = Array.from({ length: 100 }, (_, at) => String(at % 10)).join('');
  const tail = new Tail(10);
  for (let at = 0; at < text.length; at += size) {
    tail.append(Buffer.from(text.slice(at, at + size)));
    expect(tail.text()).toBe(text.slice(0, at + size).slice(-10));
  }
});

test('less than fits is kept whole', () => {
  const tail = new Tail();
  expect(tail.text()).toBe('');
  tail.append(Buffer.from('no such file'));
  expect(tail.text()).toBe('no such file');
});

test('what it keeps is its own copy', () => {
  const tail = new Tail();
  const chunk = Buffer.from('before');
  tail.append(chunk);
  chunk.fill('x');
  expect(tail.text()).toBe('before');
});
