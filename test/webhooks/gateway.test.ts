import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI, cleanEnv, cronium, ROOT, run } from '../e2e/processes.ts';
import { eventually, Served } from '../faults/served.ts';
import { SENDERS } from '../http/webhooks/senders.ts';
import { onEngine } from '../on-engine.ts';

const guide = readFileSync(join(ROOT, 'docs/webhooks.md'), 'utf8');
const commands = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!).join('\n');
const CHALLENGE = '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P';
const TAKEN = /\{"id":"[0-9a-f-]{36}","status":"queued","event":"([a-z-]+)","version":1\}/g;

await onEngine('bubblewrap', () => {
  let gateway: Served;
  let env: Record<string, string>;

  beforeAll(async () => {
    gateway = await Served.start();
    const access = { CRONIUM_URL: gateway.url, CRONIUM_TOKEN: await gateway.token() };
    env = { ...cleanEnv(), ...access, DATA_DIR: gateway.dataDir };
  });
  afterAll(async () => {
    await gateway.stop();
    await gateway[Symbol.asyncDispose]();
  });

  test('the commands of the guide are taken as those of each sender, and run', {
    timeout: 90_000,
  }, async () => {
    const script = commands
      .replaceAll('npx cronium', `${process.execPath} ${CLI}`)
      .replaceAll(':8787', `:${gateway.port}`);
    const ended = await run(['bash', '-euo', 'pipefail', '-c', script], { env, cwd: ROOT });
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain(CHALLENGE);
    const taken = [...ended.stdout.matchAll(TAKEN)].map((match) => match[1]!);
    expect(taken).toEqual(['on-push', 'on-message', 'on-payment', 'on-order']);
    for (const name of taken) {
      const [record] = await eventually(`run of ${name}`, async () => {
        const records = await gateway.records(name);
        return records.some(({ status }) => status === 'succeeded') ? records : undefined;
      });
      expect(record).toMatchObject({ status: 'succeeded' });
    }
  });

  test('a deploy keeps the secrets, takes them from the shell, and says what does not go together', {
    timeout: 90_000,
  }, async () => {
    const deploy = (args: string[], more: Record<string, string> = {}) =>
      cronium(['deploy', 'examples/hello.sh', '--name', 'kept', ...args], { ...env, ...more });
    const none = await deploy(['--webhook', 'github']);
    expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/\n {2}auth\.secret: is needed/)]);
    const fromShell = await deploy(['--webhook', 'github'], { CRONIUM_WEBHOOK_SECRET: 'of this shell' });
    expect(fromShell.code).toBe(0);
    const again = await deploy(['--webhook', 'github', '--webhook-set', 'respond=sync']);
    expect(again.code).toBe(0);
    const { body } = await gateway.send('/v1/events/kept');
    expect(JSON.parse(body).auth).toMatchObject({ scheme: 'github', secretCount: 1, respond: 'sync' });
    const both = await deploy(['--webhook', 'github', '--auth', 'public']);
    expect(both).toMatchObject({ code: 1, stderr: expect.stringContaining('leave --auth out') });
    const alone = await deploy(['--webhook-secret', 'x']);
    expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining('say with --webhook') });
  });

  test('a delivery that comes 20 times at once runs once, and knows who has signed', async () => {
    const github = SENDERS.find(({ auth }) => auth.scheme === 'github')!;
    const code =
      'def handler(event, context):\n    print(event["requestContext"]["authorizer"], event["body"])';
    await gateway.deploy('once', 'python', code, { auth: { ...github.auth, secret: github.secret } });
    const { headers, body } = await github.send('{"a":1}', github.secret, new Date());
    const post = () => fetch(`${gateway.url}/e/once`, { method: 'POST', headers, body });
    const taken = await Promise.all(Array.from({ length: 20 }, post));
    expect(new Set(taken.map(({ status }) => status))).toEqual(new Set([202]));
    const id = taken[0]!.headers.get('x-cronium-invocation-id');
    await gateway.idle();
    const records = await eventually('record', async () => {
      const ended = await gateway.records('once');
      return ended.length > 0 ? ended : undefined;
    });
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ id, status: 'succeeded' });
    expect(records[0]?.logs).toBe(`{'webhook': {'scheme': 'github', 'id': '${github.id}'}} {"a":1}\n`);
  });

  test('of 50 requests with one key one runs, and all are answered as it was', async () => {
    await gateway.deploy(
      'charge',
      'python',
      'def handler(event, context):\n    return context.aws_request_id',
    );
    const headers = { 'idempotency-key': '"charge-1"' };
    const send = () => gateway.send('/e/charge', { method: 'POST', headers, body: '{}' });
    const statuses = await Promise.all(Array.from({ length: 50 }, async () => (await send()).status));
    for (const status of statuses) expect([200, 409]).toContain(status);
    const { body } = await send();
    await gateway.idle();
    const records = await eventually('record', async () => {
      const ended = await gateway.records('charge');
      return ended.length > 0 ? ended : undefined;
    });
    expect(records.map(({ id }) => JSON.stringify(id))).toEqual([body]);
  });
});
