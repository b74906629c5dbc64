import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EngineAway } from '../../src/sandbox/engine-away.ts';
import { EngineClient } from '../../src/sandbox/engine-client.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** An engine that has been asked, and has not answered yet. */
async function slowEngine() {
  const asked = new Map<string, ServerResponse>();
  const all = Promise.withResolvers<void>();
  const server = createServer(({ url = '' }, response) => {
    asked.set(url, response);
    if (asked.size === 2) all.resolve();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: all.promise,
    answer: () => {
      asked.get('/info')!.end(JSON.stringify({ NCPU: 2 }));
      asked.get('/version')!.end(JSON.stringify({ Components: [{ Name: 'Podman Engine' }] }));
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('an engine on a busy host, which takes ten seconds to say what it is, is taken', async () => {
  await using engine = await slowEngine();
  const connecting = EngineClient.connect('podman', engine);
  await engine.asked;
  await vi.advanceTimersByTimeAsync(10_000);
  engine.answer();
  const client = await connecting;
  expect(client.kind).toBe('podman');
  client.close();
});

test('an engine that does not answer is away, and is not waited for without end', async () => {
  await using engine = await slowEngine();
  const connecting = EngineClient.connect('podman', engine);
  const refused = expect(connecting).rejects.toThrow(
    new EngineAway('the Podman engine did not answer within 15000 ms'),
  );
  await engine.asked;
  await vi.advanceTimersByTimeAsync(15_000);
  await refused;
});
