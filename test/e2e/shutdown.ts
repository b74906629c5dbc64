import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Engine } from '../engines.ts';
import { Caller, ENDLESS, SLOW } from './calls.ts';
import { GatewayProcess, leftOf, machinePath, ROOT, TempDir, tracesOf } from './processes.ts';

const SECOND_SIGTERM = 128 + 15;

/** How a gateway ends, told by signals, on a real engine. */
export function shutdownSuite({ mode }: Engine): void {
  test('SIGTERM: the call that runs has its answer, new connections are refused, nothing is left', async () => {
    using dir = new TempDir();
    await using gateway = new GatewayProcess({ dataDir: dir.path, mode });
    const url = await gateway.warm();
    const caller = await Caller.of(url, dir.path);
    await caller.deploy('slow', SLOW);
    const { response } = await caller.begin('slow');
    gateway.signal('SIGTERM');
    await gateway.until('refusal of new connections', () => gateway.stderr.includes('"msg":"stopping"'));
    await expect(connection(url)).rejects.toThrow('ECONNREFUSED');
    const answer = await response;
    expect([answer.status, await answer.text()]).toEqual([200, 'finished\n']);
    expect((await gateway.ended).code).toBe(0);
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test('Ctrl-C lets the call that runs have its answer, under an older Node.js too', async () => {
    using dir = new TempDir();
    const command = [join(ROOT, 'bin/cronium')];
    await using gateway = new GatewayProcess({
      dataDir: dir.path,
      mode,
      command,
      env: { PATH: machinePath() },
    });
    const caller = await Caller.of(await gateway.warm(), dir.path);
    await caller.deploy('slow', SLOW);
    const { response } = await caller.begin('slow');
    gateway.signalGroup('SIGINT');
    const answer = await response;
    expect([answer.status, await answer.text()]).toEqual([200, 'finished\n']);
    expect((await gateway.ended).code).toBe(0);
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test('a call that outlasts the grace is ended with a proper error, and its record is kept', async () => {
    using dir = new TempDir();
    const options = { dataDir: dir.path, mode, env: { SHUTDOWN_GRACE_MS: '300' } };
    let invocationId: string;
    {
      await using gateway = new GatewayProcess(options);
      const caller = await Caller.of(await gateway.warm(), dir.path);
      await caller.deploy('endless', ENDLESS);
      const { response } = await caller.begin('endless');
      gateway.signal('SIGTERM');
      const answer = await response;
      invocationId = answer.headers.get('x-cronium-invocation-id')!;
      expect(answer.status).toBe(503);
      expect(await answer.json()).toMatchObject({ code: 'shutting_down' });
      expect((await gateway.ended).code).toBe(0);
      expect(await leftOf(dir.path)).toEqual([]);
    }
    await using next = new GatewayProcess(options);
    const caller = await Caller.of(await next.listening(), dir.path);
    const record = await (await caller.fetch(`/v1/invocations/${invocationId}`)).json();
    expect(record).toMatchObject({ error: { code: 'shutting_down' }, logs: 'begun\n' });
    next.signal('SIGTERM');
    expect((await next.ended).code).toBe(0);
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test('a second signal ends it at once, and the next start removes what that left', async () => {
    using dir = new TempDir();
    {
      await using gateway = new GatewayProcess({ dataDir: dir.path, mode });
      const caller = await Caller.of(await gateway.warm(), dir.path);
      await caller.deploy('endless', ENDLESS);
      const { response } = await caller.begin('endless');
      gateway.signal('SIGTERM');
      await gateway.until('stopping', () => gateway.stderr.includes('"msg":"stopping"'));
      const again = setInterval(() => gateway.signal('SIGTERM'), 100);
      expect((await gateway.ended.finally(() => clearInterval(again))).code).toBe(SECOND_SIGTERM);
      await expect(response).rejects.toThrow();
    }
    const left = await tracesOf(dir.path);
    expect(left).not.toEqual([]);
    await using next = new GatewayProcess({ dataDir: dir.path, mode });
    await next.listening();
    expect(
      (await tracesOf(dir.path)).filter((trace) => left.includes(trace) && /^container/.test(trace)),
    ).toEqual([]);
    next.signal('SIGTERM');
    expect((await next.ended).code).toBe(0);
    expect(await leftOf(dir.path)).toEqual([]);
  });

  test.each(['--demo', ''])(
    'SIGTERM while the pools boot (%s): it ends with 0 and leaves nothing',
    async (arg) => {
      using dir = new TempDir();
      const env = { LOG_LEVEL: 'info', POOL_MIN: '4', POOL_TARGET: '4', BOOT_CONCURRENCY: '12' };
      await using gateway = new GatewayProcess({ dataDir: dir.path, mode, env, args: arg ? [arg] : [] });
      await gateway.listening();
      gateway.signal('SIGTERM');
      expect((await gateway.ended).code).toBe(0);
      expect(await leftOf(dir.path)).toEqual([]);
    },
  );
}

/** Rejects as the system does when nobody listens. */
function connection(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
