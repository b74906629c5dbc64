import { type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { signalProcess } from '../../src/sandbox/process-tree.ts';
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

  test('gets nothing that the gateway was started with, such as the lock of who started it', async () => {
    const files = ['one', 'two'].map((name) => join(directory, name));
    for (const path of files) await writeFile(path, 'the sandbox may read this');
    const source = new URL('../../src/sandbox/spawner.ts', import.meta.url).href;
    const script = `
      import { Spawner } from ${JSON.stringify(source)};
      import { buffer } from 'node:stream/consumers';
      const spawner = await Spawner.start(${JSON.stringify(join(directory, 'gateway'))});
      const listing = 'cat <&3; readlink /proc/self/fd/*';
      const spawned = await spawner.spawn(['/bin/sh', '-c', listing], ${JSON.stringify(files.slice(0, 1))});
      process.stdout.write(await buffer(spawned.channel));
      await spawner.close();`;
    await mkdir(join(directory, 'gateway'));
    const lock = await open(files[1]!);
    // Some are low, some beyond what Node.js would keep to itself.
    const stdio: (number | 'ignore' | 'pipe' | 'inherit')[] = Array.from({ length: 252 }, (_, at) =>
      [3, 7, 20, 251].includes(at) ? lock.fd : 'ignore',
    );
    stdio[1] = 'pipe';
    stdio[2] = 'inherit';
    await writeFile(join(directory, 'gateway.mjs'), script);
    const gateway = spawn(process.execPath, [join(directory, 'gateway.mjs')], {
      stdio: stdio as StdioOptions,
    });
    const [said] = await Promise.all([buffer(gateway.stdout!), once(gateway, 'exit')]);
    await lock.close();
    await rm(join(directory, 'gateway'), { recursive: true });
    for (const path of [...files, join(directory, 'gateway.mjs')]) await rm(path);
    expect(said.toString()).toContain('the sandbox may read this');
    expect(said.toString()).not.toContain(files[1]!);
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

test('what is being started when the spawner closes is refused, at whatever moment, and so is what comes after', async () => {
  const refused = 'nothing is started any more: the gateway is shutting down';
  const outcomes: Promise<string>[] = [];
  const start = () => {
    const spawning = spawner.spawn(['/bin/cat']);
    outcomes.push(
      spawning.then(
        async ({ channel, ended }) => {
          channel.destroy();
          await ended;
          return 'started';
        },
        (error: Error) => error.message,
      ),
    );
  };
  for (let i = 0; i < 40; i++) {
    start();
    if (i < 20) await turn();
  }
  await spawner.close();
  start();
  const all = await Promise.all(outcomes);
  expect(new Set(all.filter((outcome) => outcome !== 'started'))).toEqual(new Set([refused]));
  expect(all.at(-1)).toBe(refused);
});

describe('a thread that fails', () => {
  const REAL = new URL('../../src/sandbox/spawn-worker.js', import.meta.url).href;

  /** A spawner whose thread comes to an end when it is to start `/crash`. */
  async function frailSpawner(crash: string): Promise<Spawner> {
    const script = join(directory, 'frail.mjs');
    const dies = `({ command: [program] }) => { if (program === '/crash') { parentPort.postMessage = () => {}; ${crash}; } }`;
    const lines = [
      `import { parentPort } from 'node:worker_threads';`,
      `parentPort.on('message', ${dies});`,
      `await import('${REAL}');`,
    ];
    await writeFile(script, lines.join('\n'));
    await spawner.close();
    return Spawner.start(directory, pathToFileURL(script));
  }

  test.each([
    [`throw new Error('broken')`, 'broken'],
    ['process.exit(7)', 'it ended with 7'],
  ])('by %s refuses what it was to start, and another one takes its place', async (crash, why) => {
    spawner = await frailSpawner(crash);
    const before = await spawner.spawn(['/bin/sh', '-c', 'trap "" HUP PIPE; exec sleep 60']);
    const error = `the thread that starts sandboxes has failed: ${why}`;
    await expect(spawner.spawn(['/crash'])).rejects.toThrow(error);

    const after = await spawner.spawn(['/bin/echo', 'here']);
    expect((await buffer(after.channel)).toString()).toBe('here\n');
    await after.ended;
    // Nobody reports of the ones before it any more, and yet their end is seen.
    expect(before.hasEnded).toBe(false);
    signalProcess(before.pid!, 'SIGKILL');
    await before.ended;
    expect(before.wasKilled).toBe(true);
    before.channel.destroy();
    await rm(join(directory, 'frail.mjs'));
  });
});
