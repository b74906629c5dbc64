import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import type { Engine } from '../engines.ts';
import { Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const page = await readFile(join(root, 'docs/variables.md'), 'utf8');

/** A language's example of docs/variables.md. */
function exampleOf(runtime: Runtime): string {
  const code = page.split(`<!-- runs: ${runtime} -->`)[1]?.match(/```\w+\n([\s\S]*?)```/)?.[1];
  if (code === undefined) throw new Error(`docs/variables.md has no example in ${runtime}`);
  return code;
}

await onEngine('docker', variablesSuite);
await onEngine('bubblewrap with control groups', variablesSuite);

/** From functions in real sandboxes to the database and back. */
function variablesSuite(engine: Engine): void {
  let served: Served;
  beforeAll(async () => {
    served = await Served.start({ mode: engine.mode, env: { MAX_CONCURRENT_EXECUTIONS: '4' } });
  });
  afterAll(() => served?.[Symbol.asyncDispose]());

  const call = async (name: string, sub?: string) => {
    const { body, status } = await served.send(`/e/${name}`, {}, sub);
    return { status, value: JSON.parse(body) };
  };

  test.for(RUNTIMES)('the example in %s counts from call to call, whoever calls it', async (runtime) => {
    await served.deploy(`example-${runtime}`, runtime, exampleOf(runtime), { auth: 'public' });
    const answer = (calls: number) => ({
      status: 200,
      value: { calls, best: calls, seen: calls, problem: expect.stringContaining('not_a_number') },
    });
    expect(await call(`example-${runtime}`)).toEqual(answer(1));
    expect(await call(`example-${runtime}`, 'bob')).toEqual(answer(2));
  });

  test('what one user keeps another does not find, by code or by the API', async () => {
    const code = 'import cronium\ndef handler(e, c):\n    return cronium.getVariable("secret", "nothing")';
    const set = { method: 'PUT', body: '"of alice"' };
    expect((await served.send('/v1/variables/secret', set)).status).toBe(201);
    await served.deploy('of-alice', 'python', code, { auth: 'public' });
    const deployed = await served.tryDeploy('of-bob', 'python', code, { auth: 'public' }, 'bob');
    expect(deployed.status).toBe(201);
    const values = [
      await call('of-alice', 'bob'),
      await call('of-bob', 'bob'),
      await call('of-bob', 'alice'),
    ];
    expect(values.map(({ value }) => value)).toEqual(['of alice', 'nothing', 'nothing']);
    expect((await served.send('/v1/variables/secret', {}, 'bob')).status).toBe(404);
  });

  test('calls at once lose no count', async () => {
    const code =
      'const { incrementVariable } = require("cronium");\nexports.handler = () => incrementVariable("sum");';
    await served.deploy('sums', 'nodejs', code);
    const values = await Promise.all(Array.from({ length: 8 }, () => call('sums')));
    expect(values.map(({ value }) => value).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('the commands of the documentation work', async () => {
    const [commands] = page.match(/(?<=```sh\n)[\s\S]*?(?=```)/) ?? [];
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', commands!], {
      cwd: root,
      env: { ...process.env, CRONIUM_URL: served.url, CRONIUM_TOKEN: await served.token('carol') },
    });
    expect(stdout).toMatch(/^\{"page": 3\}\n\S+Z {5}11 feed\.cursor\n$/);
  });
}
