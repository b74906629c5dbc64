import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Spawner } from '../../src/sandbox/spawner.ts';

let directory: string;
let spawner: Spawner;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'spawner-test-'));
  spawner = await Spawner.start(directory);
});
afterEach(async () => {
  await spawner.close();
  expect(await readdir(directory)).toEqual([]);
  await rm(directory, { recursive: true });
});

describe('a process of the other thread', () => {
  test('talks over its channel, and the channel ends with it', async () => {
    const spawned = await spawner.spawn(['/bin/sh', '-c', 'read line; echo "heard $line"']);
    spawned.channel.write('hello\n');
    expect((await buffer(spawned.channel)).toString()).toBe('heard hello\n');
    await spawned.ended;
    expect(spawned.hasEnded).toBe(true);
  });

  test('that ended while nobody read is read to its end', async () => {
    const spawned = await spawner.spawn([
      '/bin/sh',
      '-c',
      'head -c 60000 /dev/zero; printf "the last words"',
    ]);
    await spawned.ended;
    expect((await buffer(spawned.channel)).subarray(-14).toString()).toBe('the last words');
  });

  test('keeps what it said on standard error', async () => {
    const spawned = await spawner.spawn(['/bin/sh', '-c', 'echo wrong >&2; exit 3']);
    await spawned.ended;
    expect(spawned.stderr()).toBe('wrong\n');
    spawned.channel.destroy();
  });

  test('that is not there says so', async () => {
    const spawned = await spawner.spawn(['/no/such/program']);
    await spawned.ended;
    expect(spawned.pid).toBeUndefined();
    expect(spawned.stderr()).toContain('ENOENT');
    spawned.channel.destroy();
  });

  test('closes its channel when it is killed', async () => {
    const spawned = await spawner.spawn(['/bin/cat']);
    process.kill(spawned.pid!, 'SIGKILL');
    expect((await buffer(spawned.channel)).byteLength).toBe(0);
    await spawned.ended;
  });

  test('many at once each have a channel of their own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const spawned = await spawner.spawn(['/bin/cat']);
        spawned.channel.end(`this is ${i}`);
        return (await buffer(spawned.channel)).toString();
      }),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => `this is ${i}`));
  });

  test('has nothing of the environment, and a session of its own', async () => {
    const spawned = await spawner.spawn([
      '/bin/sh',
      '-c',
      'tr "\\0" "\\n" < /proc/$$/environ; ps -o sid= -p $$',
    ]);
    const said = (await buffer(spawned.channel)).toString().trim();
    expect(said).toBe(String(spawned.pid));
  });
});
