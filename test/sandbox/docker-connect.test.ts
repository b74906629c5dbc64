import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import { engineOptions, newInstanceId } from '../engines.ts';

/** An engine with a runtime that has to be proved, which goes away when it is asked for a container. */
async function dyingEngine() {
  const answers: Record<string, unknown> = {
    '/info': { NCPU: 2, DefaultRuntime: 'own', Runtimes: { own: { path: '/usr/bin/own' } } },
    '/version': {},
  };
  const server = createServer(({ url = '', socket }, response) => {
    const answer = url.startsWith('/images/') ? { Id: 'sha256:0' } : answers[url];
    if (answer === undefined) socket.destroy();
    else response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('an engine that goes away while it is tried is not asked again, and keeps no timer', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    await using engine = await dyingEngine();
    const errors: unknown[] = [];
    const options = engineOptions(newInstanceId()).docker;
    const connecting = DockerLauncher.connect({
      ...options,
      host: engine.host,
      onEngineError: (error) => errors.push(error),
    });
    await expect(connecting).rejects.toThrow('did not start a python sandbox');
    // The removal of what may have been made has failed.
    await expect.poll(() => errors).not.toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
