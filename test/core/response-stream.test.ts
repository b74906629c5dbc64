import { expect, test } from 'vitest';
import { ResponseStream } from '../../src/core/response-stream.ts';
import { settle } from './fakes.ts';

const CHUNK = new Uint8Array(200 * 1_024);

/** Whether the promise has settled by now. */
async function isDone(work: unknown): Promise<boolean> {
  let done = false;
  Promise.resolve(work).then(() => {
    done = true;
  });
  await settle();
  return done;
}

test('what was written is read in order, and then the end', async () => {
  const stream = new ResponseStream(() => {});
  for (const text of ['a', 'b', '', 'c']) stream.write(Buffer.from(text));
  stream.end();
  stream.end();
  expect(await new Response(stream.readable).text()).toBe('abc');
});

test('a writer is held back while the client is behind', async () => {
  const stream = new ResponseStream(() => {});
  const reader = stream.readable.getReader();
  expect(stream.write(CHUNK)).toBeUndefined();
  const held = stream.write(CHUNK);
  expect(await isDone(held)).toBe(false);
  await reader.read();
  await held;
  await reader.cancel();
});

test('very many small chunks hold the writer back before their own weight does', () => {
  const stream = new ResponseStream(() => {});
  let written = 0;
  while (stream.write(Uint8Array.of(1)) === undefined) written += 1;
  expect(written).toBeLessThan(10_000);
});

test('a client that leaves is reported once, frees the writer, and nothing more is kept', async () => {
  let left = 0;
  const stream = new ResponseStream(() => {
    left += 1;
  });
  stream.write(CHUNK);
  const held = stream.write(CHUNK);
  await stream.readable.cancel();
  await held;
  expect(left).toBe(1);
  expect(stream.write(CHUNK)).toBeUndefined();
  stream.end();
  stream.fail(new Error('late'));
});

test('a failure is an error to the client, and frees the writer', async () => {
  const stream = new ResponseStream(() => {});
  stream.write(CHUNK);
  const held = stream.write(CHUNK);
  stream.fail(new Error('the function failed'));
  stream.fail(new Error('again'));
  await held;
  await expect(new Response(stream.readable).text()).rejects.toThrow('the function failed');
});
