import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { Caller } from './calls.ts';
import { cleanEnv, GatewayProcess, leftOf, ROOT, run, TempDir } from './processes.ts';

const FIRST = `
def handler(event, context):
    name = event.get("queryStringParameters", {}).get("name", "world")
    return {"message": f"Hello, {name}", "length": len(name), "id": context.aws_request_id}
`;
/** Differs in one member, for one name. */
const SECOND = FIRST.replace('len(name)', 'len(name) if name != "n7" else -1');
const MARKER =
  'import os\ndef handler(event, context):\n    return os.environ.get("CRONIUM_REPLAY", "no replay")\n';

interface ReplayView {
  status: string;
  summary: Record<string, number>;
  items: { invocationId: string; comparison: Record<string, unknown> }[];
}

/** The shell commands of a page, block by block, as a reader would paste them. */
function commandsOf(page: string): string[] {
  const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

await onEngine('bubblewrap', () => {
  describe('versions on a running gateway', () => {
    const dir = new TempDir();
    let gateway: GatewayProcess;
    let caller: Caller;
    let env: Record<string, string>;
    /** By name. */
    const ids = new Map<string, string>();

    beforeAll(async () => {
      gateway = new GatewayProcess({ dataDir: join(dir.path, 'data'), mode: 'bubblewrap' });
      const url = await gateway.warm();
      caller = await Caller.of(url, gateway.dataDir);
      env = { ...cleanEnv(), DATA_DIR: gateway.dataDir, CRONIUM_URL: url };
      await caller.deploy('greet', FIRST, 'python');
      for (let count = 0; count < 20; count++) {
        const response = await caller.fetch(`/e/greet?name=n${count}`);
        expect(response.status).toBe(200);
        await response.text();
        ids.set(`n${count}`, response.headers.get('x-cronium-invocation-id')!);
      }
      // A record is written when its sandbox is gone, a moment behind the answer.
      const records = async () => {
        const page = await caller.fetch('/v1/events/greet/invocations?limit=100');
        return ((await page.json()) as { items: { endedAt: string | null }[] }).items.filter(
          (item) => item.endedAt,
        );
      };
      await vi.waitFor(async () => expect(await records()).toHaveLength(20), { timeout: 10_000 });
      const body = JSON.stringify({ code: SECOND });
      expect((await caller.fetch('/v1/events/greet', { method: 'PATCH', body })).status).toBe(200);
    });

    afterAll(async () => {
      gateway.signal('SIGTERM');
      const { code } = await gateway.ended;
      const left = await leftOf(gateway.dataDir);
      dir[Symbol.dispose]();
      expect([code, left]).toEqual([0, []]);
    });

    const paste = (block: string, over: Record<string, string> = {}) =>
      run(['bash', '--norc', '-euo', 'pipefail', '-c', block.replaceAll('npx cronium', 'node bin/cronium')], {
        env: { ...env, ...over },
      });

    test('the planted difference is found, and nothing else', async () => {
      const request = { method: 'POST', body: JSON.stringify({ version: 2, last: 20 }) };
      const begun = await caller.fetch('/v1/events/greet/replays', request);
      expect(begun.status).toBe(202);
      const location = begun.headers.get('location')!;
      const read = async () => (await (await caller.fetch(location)).json()) as ReplayView;
      await expect.poll(async () => (await read()).status, { timeout: 60_000 }).toBe('done');
      const { summary, items } = await read();
      expect(summary).toMatchObject({ total: 20, same: 19, different: 1, body: 1, status: 0, statusCode: 0 });
      const [different] = items.filter(({ comparison }) => comparison.verdict === 'different');
      expect(different).toMatchObject({
        invocationId: ids.get('n7'),
        comparison: { body: { kind: 'json', paths: [{ path: '/length', before: '2', after: '-1' }] } },
      });
    });

    test('a function knows that it is run again', async () => {
      await caller.deploy('marked', MARKER, 'python');
      const first = await caller.fetch('/e/marked');
      expect(await first.json()).toBe('no replay');
      const id = first.headers.get('x-cronium-invocation-id');
      const again = await caller.fetch(`/v1/invocations/${id}/replay`, { method: 'POST', body: '{}' });
      expect(again.status).toBe(202);
      // What was called just now may not be in the database yet.
      const body = JSON.stringify({ version: 1, last: 1 });
      const begin = async () => {
        const begun = await caller.fetch('/v1/events/marked/replays', { method: 'POST', body });
        return begun.headers.get('location');
      };
      let location = await begin();
      await expect.poll(async () => (location ??= await begin())).not.toBeNull();
      const read = async () => (await (await caller.fetch(location!)).json()) as ReplayView;
      await expect.poll(async () => (await read()).status, { timeout: 30_000 }).toBe('done');
      expect((await read()).items[0]?.comparison.body).toMatchObject({
        paths: [{ before: '"no replay"', after: '"true"' }],
      });
    });

    test('the commands of docs/versions.md do what it says', async () => {
      const [alias, canary, replay, diff] = commandsOf('versions.md');
      const made = await paste(alias!);
      expect(made).toMatchObject({ code: 0, stderr: '' });
      expect(made.stdout).toContain(`live version 1: ${env.CRONIUM_URL}/e/greet:live\n`);
      expect(made.stdout).toContain('"message":"Hello, world"');
      expect((await paste(canary!)).stdout).toContain('live version 1, 0.1 of the calls: version 2: ');
      const replayed = await paste(replay!, { ID: ids.get('n3')! });
      expect(replayed.stdout).toMatch(/^\S{36} greet version 1\n\S{36} greet version 2\n$/);
      const differs = await paste(diff!.replace('--last 20', '--last 100'));
      expect(differs.code).toBe(1);
      expect(differs.stdout).toContain(`── ${ids.get('n7')} different\n  body /length: 2 → -1\n`);
      expect(differs.stdout).toMatch(/\n21 run again: 20 the same, 1 different, 0 unknown; median /);
    });

    test('the commands of docs/schedules.md do what it says', async () => {
      const [block] = commandsOf('schedules.md');
      const { code, stdout, stderr } = await paste(block!);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(
        /^(nightly greet 0 3 \* \* 1-5 \(Europe\/Berlin\): next \S+Z; 0 runs, 0 skipped\n){2}$/,
      );
      const bad = await paste("npx cronium schedule add x greet --cron '0 25 * * *'");
      expect(bad).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('\n  cron: the hour 25 is not valid'),
      });
    });

    test('a schedule runs its function', async () => {
      const body = JSON.stringify({ name: 'often', event: 'greet:live', cron: '* * * * * *', maxRuns: 2 });
      expect((await caller.fetch('/v1/schedules', { method: 'POST', body })).status).toBe(201);
      const read = async () => (await caller.fetch('/v1/schedules/often')).json();
      await expect.poll(read, { timeout: 20_000 }).toMatchObject({
        enabled: false,
        disabledReason: 'finished',
        runs: 2,
        lastInvocationId: expect.any(String),
      });
      const { lastInvocationId } = (await read()) as { lastInvocationId: string };
      const status = async () =>
        ((await (await caller.fetch(`/v1/invocations/${lastInvocationId}`)).json()) as { status: string })
          .status;
      await expect.poll(status, { timeout: 20_000 }).toBe('succeeded');
    });
  });
});
