import { afterAll, beforeAll, expect, test } from 'vitest';
import { onPostgres } from '../on-postgres.ts';
import { Harness } from './harness.ts';
import { SENDERS } from './webhooks/senders.ts';

const REQUESTS = 50;

onPostgres('several gateways on one Postgres', (server) => {
  let gateways: Harness[];
  beforeAll(async () => {
    const url = await server().createDatabase();
    gateways = [];
    for (let count = 0; count < 3; count++) gateways.push(await Harness.open({ now: () => new Date() }, url));
  });
  afterAll(async () => {
    for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
  });

  const atOnce = (path: string, init: RequestInit) =>
    Promise.all(
      Array.from({ length: REQUESTS }, async (_, index) =>
        gateways[index % gateways.length]!.app.request(path, { ...init, method: 'POST' }),
      ),
    );

  test('run one of 50 requests with one key, and give its answer from each of them', async () => {
    await gateways[0]!.deploy();
    const headers = { ...(await gateways[0]!.bearer('alice')), 'idempotency-key': 'one' };
    const responses = await atOnce('/e/hello', { headers, body: '{}' });
    const calls = gateways.flatMap((gateway) => gateway.calls);
    expect(calls).toHaveLength(1);
    for (const { status } of responses) expect([200, 409]).toContain(status);
    for (const gateway of gateways) {
      const again = await gateway.app.request('/e/hello', { method: 'POST', headers, body: '{}' });
      expect(again.headers.get('x-cronium-invocation-id')).toBe(calls[0]?.id);
    }
  });

  test('take one of 50 deliveries of a webhook', async () => {
    const [sender] = SENDERS;
    await gateways[0]!.deploy({ name: 'hook', auth: { ...sender!.auth, secret: sender!.secret } });
    const { headers, body } = await sender!.send('{}', sender!.secret, new Date());
    const responses = await atOnce('/e/hook', { headers, body });
    expect(responses.map(({ status }) => status)).toEqual(Array(REQUESTS).fill(202));
    const ids = new Set(responses.map((response) => response.headers.get('x-cronium-invocation-id')));
    expect(ids.size).toBe(1);
  });
});
