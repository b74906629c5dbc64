import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook } from 'svix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Caller } from '../e2e/calls.ts';
import { cleanEnv, cronium, GatewayProcess, leftOf, ROOT, run, TempDir } from '../e2e/processes.ts';
import { onEngine } from '../on-engine.ts';
import { onPostgres } from '../on-postgres.ts';

interface View {
  id: string;
  status: string;
  attempt: number;
  failures: number;
  logs: string;
  error: { code: string } | null;
  result?: { statusCode: number; body: string };
}

const ASYNC = { prefer: 'respond-async' };

async function receive(answer: (headers: Record<string, string>, body: string) => number) {
  const server = createServer((request, response) => {
    text(request).then((body) => {
      response.writeHead(answer(request.headers as Record<string, string>, body)).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

async function accepted(caller: Caller, path: string, init: RequestInit = {}): Promise<string> {
  const more = { ...ASYNC, ...(init.headers as Record<string, string>) };
  const response = await caller.fetch(path, { method: 'POST', ...init }, more);
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

const look = async (caller: Caller, id: string, wait = '30s') =>
  (await (await caller.fetch(`/v1/invocations/${id}?wait=${wait}`)).json()) as View;

await onEngine('bubblewrap', () => {
  describe('a gateway on SQLite', () => {
    let dir: TempDir;
    let gateway: GatewayProcess;
    let caller: Caller;
    const env = { CALLBACK_ALLOW_PRIVATE: 'true', SHUTDOWN_GRACE_MS: '200' };
    const start = () => new GatewayProcess({ dataDir: dir.path, mode: 'bubblewrap', env });
    beforeAll(async () => {
      dir = new TempDir();
      gateway = start();
      caller = await Caller.of(await gateway.warm(), dir.path);
    });
    afterAll(async () => {
      await gateway[Symbol.asyncDispose]();
      expect(await leftOf(dir.path)).toEqual([]);
      dir[Symbol.dispose]();
    });

    test('runs what it has accepted, and gives the result to who waits for it', async () => {
      await caller.deploy('echo', 'echo heard >&2; cat');
      const id = await accepted(caller, '/e/echo', { body: '"hello"' });
      expect(await look(caller, id)).toMatchObject({
        status: 'succeeded',
        attempt: 1,
        failures: 0,
        logs: 'heard\n',
        result: { statusCode: 200, body: '"hello"' },
      });
    });

    test('takes the command of the guide, and the same of the command line', async () => {
      await caller.deploy('hello', 'cat');
      const guide = readFileSync(join(ROOT, 'docs/async.md'), 'utf8');
      const [, command] = /```sh\n([\s\S]*?)```/.exec(guide)!;
      const env = { ...cleanEnv(), DATA_DIR: dir.path, CRONIUM_URL: caller.url, URL: caller.url };
      const scope = ['--scope', 'events:read events:invoke'];
      const TOKEN = (await cronium(['token', '--sub', 'local', ...scope], env)).stdout.trim();
      const byCurl = await run(['bash', '-euo', 'pipefail', '-c', command!], { env: { ...env, TOKEN } });
      const [, id] = /^location: \/v1\/invocations\/(\S+)/im.exec(byCurl.stdout) ?? [];
      expect(byCurl.stdout, byCurl.stderr).toMatch(/^HTTP\/1\.1 202 /);
      expect(await look(caller, id!)).toMatchObject({ status: 'succeeded', result: { body: '{"n":1}' } });
      const byCli = await cronium(['invoke', 'hello', '--async', '--data', '"cli"'], env);
      expect(byCli.code, byCli.stderr).toBe(0);
      const [cliId] = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(byCli.stdout + byCli.stderr) ?? [];
      expect(await look(caller, cliId!)).toMatchObject({ status: 'succeeded', result: { body: '"cli"' } });
    });

    test('tries what fails again, buries it, and runs it once more when asked to', async () => {
      const code = 'exit 1';
      const body = JSON.stringify({
        name: 'fails',
        runtime: 'bash',
        code,
        async: { attempts: 2, backoffMs: 10 },
      });
      expect((await caller.fetch('/v1/events', { method: 'POST', body })).status).toBe(201);
      const id = await accepted(caller, '/e/fails');
      const dead = { status: 'dead', attempt: 2, failures: 2, error: { code: 'function_error' } };
      expect(await look(caller, id)).toMatchObject(dead);
      const list = await (await caller.fetch('/v1/invocations?status=dead&event=fails')).json();
      expect((list as { items: View[] }).items.map((item) => item.id)).toEqual([id]);
      const redriven = await caller.fetch(`/v1/invocations/${id}/redrive`, { method: 'POST' });
      expect([redriven.status, await redriven.json()]).toEqual([202, { redriven: 1 }]);
      expect(await look(caller, id)).toMatchObject({ ...dead, attempt: 4 });
    });

    test('tells a URL and another event of the end, signed so that the libraries of Standard Webhooks take it', async () => {
      const heard: { headers: Record<string, string>; body: string }[] = [];
      const statuses = [500, 200, 200];
      await using receiver = await receive((headers, body) => {
        heard.push({ headers, body });
        return statuses.shift() ?? 200;
      });
      const code = 'def handler(event, context):\n    print(event["requestContext"]["requestId"])\n';
      await caller.deploy('told', code, 'python');
      const own = `whsec_${randomBytes(32).toString('base64')}`;
      const settings = { onSuccess: { url: `${receiver.url}/own`, secret: own } };
      const body = JSON.stringify({ name: 'tells', runtime: 'bash', code: 'printf hi', async: settings });
      const deployed = await caller.fetch('/v1/events', { method: 'POST', body });
      expect(await deployed.json()).toMatchObject({ async: { onSuccess: { url: `${receiver.url}/own` } } });
      const id = await accepted(caller, '/e/tells', {
        headers: { 'x-callback-url': `${receiver.url}/callback` },
      });
      await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(3);
      const { secret } = (await (await caller.fetch('/v1/events/tells/callback-secret')).json()) as {
        secret: string;
      };
      const callbacks = heard.filter(({ body }) => body === 'hi');
      const events = heard.filter(({ body }) => body !== 'hi');
      // What was refused came again, with the same id.
      for (const all of [callbacks, events])
        expect(new Set(all.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
      for (const { headers, body } of callbacks) {
        new StandardWebhook(secret).verify(body, headers, { jsonParse: false });
        expect(headers).toMatchObject({
          'x-call-id': id,
          'x-function-name': 'tells',
          'x-function-status': '200',
        });
        expect(Number(headers['x-duration-seconds'])).toBeGreaterThan(0);
      }
      for (const { headers, body } of events) {
        expect(new Webhook(own).verify(body, headers)).toMatchObject({
          type: 'invocation.succeeded',
          data: { id, event: 'tells', result: { body: 'hi' } },
        });
      }

      const patch = JSON.stringify({ code: 'exit 1', async: { attempts: 1, onFailure: { event: 'told' } } });
      expect((await caller.fetch('/v1/events/tells', { method: 'PATCH', body: patch })).status).toBe(200);
      const failed = await accepted(caller, '/e/tells');
      const told = async () => {
        const list = (await (await caller.fetch('/v1/events/told/invocations')).json()) as { items: View[] };
        return list.items.map(({ status, logs }) => (status === 'succeeded' ? logs : ''))[0];
      };
      await expect.poll(told, { timeout: 20_000 }).toContain(failed);
    });

    test('kills the sandbox of what is cancelled', async () => {
      await caller.deploy('endless', 'echo begun >&2; sleep 600');
      const id = await accepted(caller, '/e/endless');
      await expect.poll(async () => (await look(caller, id, '0')).logs, { timeout: 20_000 }).toBe('begun\n');
      expect((await caller.fetch(`/v1/invocations/${id}`, { method: 'DELETE' })).status).toBe(202);
      expect(await look(caller, id)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
      expect((await caller.fetch(`/v1/invocations/${id}`, { method: 'DELETE' })).status).toBe(409);
    });

    test('runs again at once what a SIGTERM or a SIGKILL interrupted, and counts it', async () => {
      await caller.deploy('slow', 'echo begun >&2; sleep 3; echo done');
      const id = await accepted(caller, '/e/slow');
      const metrics = async () => (await fetch(`${caller.url}/metrics`)).text();
      const begun = async () => {
        const { status, logs, attempt } = await look(caller, id, '0');
        return status === 'running' && logs === 'begun\n' ? attempt : 0;
      };
      for (const [attempt, signal] of [
        [1, 'SIGTERM'],
        [2, 'SIGKILL'],
      ] as const) {
        await expect.poll(begun, { timeout: 20_000 }).toBe(attempt);
        gateway.signal(signal);
        await gateway.ended;
        gateway = start();
        caller = await Caller.of(await gateway.warm(), dir.path);
        // What a SIGTERM ends is given back; only what a SIGKILL leaves is taken from the dead.
        expect(await metrics()).toContain(
          `\ncronium_durable_reclaimed_total ${signal === 'SIGTERM' ? 0 : 1}\n`,
        );
      }
      expect(await look(caller, id)).toMatchObject({
        status: 'succeeded',
        attempt: 3,
        failures: 0,
        result: { body: 'done\n' },
      });
      for (const line of ['claims_total 1', 'ended_total{status="succeeded"} 1', 'queued 0'])
        expect(await metrics()).toContain(`\ncronium_durable_${line}\n`);
    });
  });

  onPostgres('gateways on one Postgres', (server) => {
    test('share the work, tell each other of its end, and cancel what runs on the other', async () => {
      const shared = {
        DATABASE_URL: await server().createDatabase(),
        JWT_SECRET: randomBytes(32).toString('hex'),
      };
      const env = { ...shared, SECRETS_KEY: randomBytes(32).toString('hex'), MAX_ASYNC_EXECUTIONS: '1' };
      using dirs = new DisposableStack();
      const start = () => {
        const dir = dirs.use(new TempDir());
        writeFileSync(join(dir.path, 'jwt-secret'), env.JWT_SECRET, { mode: 0o600 });
        return new GatewayProcess({ dataDir: dir.path, mode: 'bubblewrap', env });
      };
      await using one = start();
      await one.warm();
      await using two = start();
      const [a, b] = await Promise.all(
        [one, two].map(async (gateway) => Caller.of(await gateway.warm(), gateway.dataDir)),
      );
      // Each runs one at a time: that both have begun is that each has one.
      await a!.deploy('slow', 'echo begun >&2; sleep 600');
      const ids = [await accepted(a!, '/e/slow'), await accepted(a!, '/e/slow')];
      const statuses = async () => Promise.all(ids.map(async (id) => (await look(b!, id, '0')).status));
      await expect.poll(statuses, { timeout: 20_000 }).toEqual(['running', 'running']);
      const waits = ids.map((id) => look(b!, id));
      for (const id of ids)
        expect((await a!.fetch(`/v1/invocations/${id}`, { method: 'DELETE' })).status).toBe(202);
      expect((await Promise.all(waits)).map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    });
  });
});
