import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntry, ChainName } from '../../src/audit/entry.ts';
import { cronium, ROOT, run } from '../e2e/processes.ts';
import { eventually, Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';

const HELLO = 'def handler(event, context):\n    return 1\n';
const guide = readFileSync(join(ROOT, 'docs/audit.md'), 'utf8');

function entriesOf(dataDir: string, chain: ChainName): AuditEntry[] {
  const dir = join(dataDir, 'audit');
  const files = readdirSync(dir).filter((name) => name.startsWith(`${chain}-`) && name.endsWith('.jsonl'));
  const lines = files.sort().flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'));
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as AuditEntry);
}

/** Waits until an entry is written that is like this. */
function entry(dataDir: string, chain: ChainName, like: object): Promise<AuditEntry> {
  return eventually(`entry ${JSON.stringify(like)}`, async () =>
    entriesOf(dataDir, chain).find((each) => {
      const wanted = Object.entries(like);
      return wanted.every(([name, value]) => each[name as keyof AuditEntry] === value);
    }),
  );
}

const verify = (dataDir: string, ...args: string[]) =>
  cronium(['audit', 'verify', ...args], { DATA_DIR: dataDir });

await onEngine('bubblewrap', () => {
  describe('a gateway that is in service', () => {
    let gateway: Served;
    let dataDir: string;

    beforeAll(async () => {
      gateway = await Served.start();
      dataDir = gateway.dataDir;
      await gateway.deploy('hello', 'python', HELLO);
    });
    afterAll(async () => {
      await gateway.stop();
      await gateway[Symbol.asyncDispose]();
    });

    test('has written down who changed what before it answers', async () => {
      const patch = { method: 'PATCH', body: '{"memoryMb": 64}' };
      const change = await gateway.send('/v1/events/hello', patch);
      const rollback = { method: 'POST', body: '{"version": 1}' };
      await gateway.send('/v1/events/hello/rollback', rollback);
      await gateway.send('/v1/events/hello', {
        method: 'PUT',
        body: JSON.stringify({ runtime: 'python', code: '1' }),
      });
      await gateway.send('/v1/events/hello', { method: 'DELETE' });
      const changes = entriesOf(dataDir, 'changes');
      const by = { actor: 'alice', subject: 'hello', outcome: 'ok', sourceIp: '127.0.0.1' };
      expect(changes).toMatchObject([
        { action: 'gateway.start', actor: null, outcome: 'ok' },
        { ...by, action: 'event.deploy', status: 201, detail: { version: 1 } },
        { ...by, action: 'event.change', status: 200, detail: { version: 2 } },
        { ...by, action: 'event.rollback', detail: { version: 1 } },
        { ...by, action: 'event.replace', detail: { version: 3 } },
        { ...by, action: 'event.delete', status: 204 },
      ]);
      expect(changes[2]!.requestId).toBe(change.headers.get('x-request-id'));
      await gateway.deploy('hello', 'python', HELLO);
    });

    test('writes down calls and refusals, each with its invocation, its user and its address', async () => {
      const answer = await gateway.send('/e/hello');
      const invocationId = answer.headers.get('x-cronium-invocation-id');
      expect(await entry(dataDir, 'calls', { invocationId })).toMatchObject({
        action: 'event.invoke',
        actor: 'alice',
        subject: 'hello',
        outcome: 'ok',
        status: 200,
        sourceIp: '127.0.0.1',
        detail: { isolation: 'bubblewrap' },
      });
      await gateway.deploy('broken', 'python', 'raise ValueError("x")');
      await gateway.send('/e/broken');
      expect(await entry(dataDir, 'calls', { subject: 'broken' })).toMatchObject({
        outcome: 'failed',
        code: 'function_error',
        status: 502,
      });
      for (let i = 0; i < 5; i++) await fetch(`${gateway.url}/e/hello`);
      expect(await entry(dataDir, 'calls', { code: 'unauthorized' })).toMatchObject({
        action: 'event.invoke',
        actor: null,
        subject: 'hello',
        outcome: 'refused',
        status: 401,
      });
      await gateway.send('/e/hello', {}, 'bob');
      expect(await entry(dataDir, 'calls', { code: 'insufficient_scope' })).toMatchObject({ actor: 'bob' });
      await fetch(`${gateway.url}/v1/events`, { headers: { authorization: 'Bearer x.y.z' } });
      expect(await entry(dataDir, 'calls', { code: 'invalid_token' })).toMatchObject({
        action: 'GET /v1/events',
        subject: '/v1/events',
      });
      expect(entriesOf(dataDir, 'calls').filter(({ code }) => code === 'unauthorized')).toHaveLength(1);
    });

    test('keeps nothing of what was sent', async () => {
      const secret = 'a-value-that-must-not-be-written';
      await gateway.tryDeploy('secretive', 'python', `x = "${secret}"`);
      await gateway.send(`/e/secretive?${secret}`, { method: 'POST', body: secret });
      await entry(dataDir, 'calls', { subject: 'secretive' });
      const text = readdirSync(join(dataDir, 'audit'))
        .map((name) => readFileSync(join(dataDir, 'audit', name), 'latin1'))
        .join();
      expect(text).not.toContain(secret);
    });

    test('lets any number of processes beside it mint tokens, each with its entry', async () => {
      const mint = (sub: string) => cronium(['token', '--sub', sub, '--ttl', '5m'], { DATA_DIR: dataDir });
      const minted = await Promise.all(['a', 'b', 'c', 'd'].map(mint));
      expect(minted.map(({ code, stderr }) => [code, stderr])).toEqual(minted.map(() => [0, '']));
      const entries = entriesOf(dataDir, 'tokens');
      expect(entries.map(({ subject }) => subject).sort()).toEqual(['a', 'b', 'c', 'd']);
      expect(entries[0]).toMatchObject({
        action: 'token.mint',
        actor: expect.stringMatching(/^os:./),
        detail: { ttlSeconds: 300, scope: expect.stringContaining('events:read') },
      });
    });

    test('is verified while it serves: by its command, and by a stranger who has only the guide', async () => {
      await gateway.send('/e/hello');
      const verified = await verify(dataDir, '--json');
      expect(verified).toMatchObject({ code: 0, stderr: '' });
      const { ok, chains } = JSON.parse(verified.stdout);
      expect([ok, chains.map((each: { chain: string }) => each.chain)]).toEqual([
        true,
        ['changes', 'calls', 'tokens'],
      ]);
      const [, script] = /```python\n([\s\S]*?)```/.exec(guide)!;
      for (const chain of ['changes', 'tokens']) {
        const said = execFileSync('python3', ['-c', script!, join(dataDir, 'audit'), chain], {
          encoding: 'utf8',
        });
        const { head } = chains.find((each: { chain: string }) => each.chain === chain);
        expect(said).toBe(`${chain}: ${head.seq} ${head.hash}\n`);
      }
    });

    test('the commands of the guide do what it says', async () => {
      const commands = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text!);
      const env = { ...process.env, DATA_DIR: dataDir } as Record<string, string>;
      const script = commands
        .join('')
        .replaceAll('npx cronium', `${process.execPath} ${ROOT}/src/cli/main.ts`)
        .replaceAll('heads.json', `${dataDir}/heads.json`)
        .replaceAll(`./${dataDir}`, dataDir);
      const ended = await run(['bash', '--norc', '-euo', 'pipefail', '-c', script], { env });
      expect([ended.code, ended.stderr]).toEqual([0, '']);
      expect(ended.stdout.match(/✔ changes: /g)).toHaveLength(2);
      const wrong = await verify(dataDir, '--expect', `changes:1:${'0'.repeat(64)}`);
      expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining('(not_as_expected)')]);
    });

    test('an edit is found by the command, with file and line', async () => {
      const copy = `${dataDir}-copy`;
      execFileSync('cp', ['-r', dataDir, copy]);
      const file = join(copy, 'audit', 'changes-000000000001.jsonl');
      writeFileSync(file, readFileSync(file, 'utf8').replace('"actor":"alice"', '"actor":"bob"'));
      const ended = await verify(copy);
      expect(ended.code).toBe(1);
      expect(ended.stdout).toContain(
        'changes-000000000001.jsonl:2: entry 2 is not what its hash was made of (edited)',
      );
      rmSync(copy, { recursive: true });
    });
  });

  test.concurrent('a gateway that is killed while it writes leaves a log that goes on whole', async () => {
    await using gateway = await Served.start();
    const { dataDir } = gateway;
    await gateway.deploy('hello', 'python', HELLO, { auth: 'public' });
    const calls = Array.from({ length: 30 }, () => fetch(`${gateway.url}/nothing`).catch(() => {}));
    await Promise.race(calls);
    gateway.process.signal('SIGKILL');
    await gateway.process.ended;
    await Promise.all(calls);
    expect((await verify(dataDir)).code).toBe(0);
    writeFileSync(join(dataDir, 'audit', 'calls-000000000001.jsonl'), '{"action":"event.inv', { flag: 'a' });
    await using again = await Served.start({ dataDir });
    expect(await entry(dataDir, 'calls', { action: 'audit.recovered' })).toMatchObject({ outcome: 'ok' });
    expect(await again.stop()).toMatchObject({ code: 0 });
    expect(entriesOf(dataDir, 'changes').map(({ action }) => action)).toEqual([
      'gateway.start',
      'event.deploy',
      'gateway.start',
      'gateway.stop',
    ]);
    expect(await verify(dataDir)).toMatchObject({ code: 0 });
  });

  const asRoot = process.getuid?.() === 0;
  if (!asRoot) console.log('skips: a gateway whose audit log is on a full disk: only root can mount one');

  test.skipIf(!asRoot).concurrent.each([
    { failClosed: 'true', status: 503, code: 'audit_unavailable' },
    { failClosed: 'false', status: 200, code: undefined },
  ])(
    'on a full disk, AUDIT_FAIL_CLOSED=$failClosed answers $status',
    async ({ failClosed, status, code }) => {
      const dataDir = `/tmp/cronium-audit-${process.pid}-${failClosed}`;
      const folder = join(dataDir, 'audit');
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'cronium-test', folder]);
      try {
        await using gateway = await Served.start({ dataDir, env: { AUDIT_FAIL_CLOSED: failClosed } });
        await gateway.deploy('hello', 'python', HELLO);
        expect((await gateway.send('/e/hello')).status).toBe(200);
        await entry(dataDir, 'calls', { action: 'event.invoke', outcome: 'ok' });
        const begun = entriesOf(dataDir, 'calls').filter(({ outcome }) => outcome === 'begun');
        expect(begun).toHaveLength(failClosed === 'true' ? 1 : 0);
        try {
          writeFileSync(join(folder, 'ballast'), Buffer.alloc(2 ** 20));
        } catch {}
        // What still fits into the pages of the files is written.
        const unready = await eventually('trouble', async () => {
          await gateway.send('/e/hello');
          return (await gateway.unready()).find((reason) => reason.startsWith('audit log: '));
        });
        expect(unready).toContain('ENOSPC');
        const answer = await gateway.send('/e/hello');
        expect([answer.status, answer.problem?.code]).toEqual([status, code]);
        const deployed = await gateway.tryDeploy('other', 'python', HELLO);
        expect(deployed.status).toBe(failClosed === 'true' ? 503 : 201);
        const minted = await cronium(['token', '--sub', 'x'], {
          DATA_DIR: dataDir,
          AUDIT_FAIL_CLOSED: failClosed,
          JWT_SECRET: 'x'.repeat(32),
        });
        expect(minted.code).toBe(failClosed === 'true' ? 1 : 0);
        expect(minted.stderr).toMatch(/audit log in .* cannot be written: .*(ENOSPC|full)/);
        rmSync(join(folder, 'ballast'));
        await gateway.ready();
        expect((await gateway.send('/e/hello')).status).toBe(200);
        expect(gateway.process.stderr).toContain('the audit log cannot be written; trying again');
        await gateway.stop();
        expect(await verify(dataDir)).toMatchObject({ code: 0 });
      } finally {
        execFileSync('umount', [folder]);
        rmSync(dataDir, { recursive: true });
      }
    },
  );
});
