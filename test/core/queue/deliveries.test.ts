import { describe, expect, test } from 'vitest';
import { Deliveries, type Delivery, type DeliveryDeps } from '../../../src/core/queue/deliveries.ts';
import { invocation } from '../../contract/samples.ts';
import { FakeClock, settle } from '../fakes.ts';
import { event } from '../gateway.ts';

const delivery = (over: Partial<Delivery> = {}): Delivery => ({
  id: 'd1',
  kind: 'callback',
  url: 'https://example.com/',
  attempt: 1,
  ageMs: 0,
  invocation: invocation(),
  result: undefined,
  ...over,
});

/** Delivers one, and resolves to what was written of it. */
async function deliver(answer: number | Error, one = delivery(), over: Partial<DeliveryDeps> = {}) {
  const written: unknown[][] = [];
  const counted: string[] = [];
  const secrets: string[] = [];
  const waiting = [one];
  const deliveries = new Deliveries({
    store: {
      claim: async () => waiting.splice(0),
      end: async (_delivery, ...how) => void written.push(how),
      retry: async (_delivery, ...how) => void written.push(['again', ...how]),
      nextDueMs: async () => undefined,
    },
    send: async (_delivery, _invocation, secret) => {
      secrets.push(secret);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    events: { find: async () => undefined },
    secretOf: (id) => `secret of ${id}`,
    clock: new FakeClock(),
    random: () => 1,
    pollMs: 1_000,
    onError: (error) => {
      throw error;
    },
    onDelivery: (outcome) => counted.push(outcome),
    ...over,
  });
  deliveries.wake();
  for (let round = 0; round < 10; round++) await settle();
  await deliveries.close();
  return { written, counted, secrets };
}

describe('a delivery', () => {
  test('is over when it is answered with 2xx', async () => {
    expect(await deliver(204)).toMatchObject({ written: [['delivered', null]], counted: ['delivered'] });
  });

  test.each([500, 404, 302])('that is answered with %i comes again, each time later', async (status) => {
    const { written } = await deliver(status);
    expect(written).toEqual([['again', 6_000, `It answered ${status}`]]);
    const later = await deliver(status, delivery({ attempt: 4 }));
    expect(later.written).toEqual([['again', 41_000, `It answered ${status}`]]);
  });

  test('that nobody answers comes again', async () => {
    const { written, counted } = await deliver(new Error('connect ECONNREFUSED'));
    expect([written, counted]).toEqual([[['again', 6_000, 'connect ECONNREFUSED']], ['retried']]);
  });

  test('is given up at once when the receiver is gone', async () => {
    const { written, counted } = await deliver(410);
    expect([written, counted]).toEqual([[['failed', 'It answered 410']], ['failed']]);
  });

  test.each([
    ['after ten tries', { attempt: 10 }],
    ['after a day', { ageMs: 25 * 3_600_000 }],
  ])('is given up %s', async (_when, over) => {
    const { written, counted } = await deliver(503, delivery(over));
    expect([written, counted]).toEqual([[['failed', 'It answered 503']], ['failed']]);
  });

  test('of what is kept no longer is sent to nobody', async () => {
    const { written, secrets } = await deliver(200, delivery({ invocation: undefined }));
    expect([written, secrets]).toEqual([[['failed', 'The invocation is kept no longer']], []]);
  });

  test('is signed with the secret of its destination while that is the event’s, else with the event’s', async () => {
    const own = { url: 'https://example.com/', secret: 'its own' };
    const told = { ...event(), async: { onSuccess: own } };
    const events = { find: async () => told };
    const ended = invocation({ eventId: told.id });
    const success = delivery({ kind: 'success', invocation: ended });
    expect((await deliver(200, success, { events })).secrets).toEqual(['its own']);
    const elsewhere = { ...success, url: 'https://old.example.com/' };
    expect((await deliver(200, elsewhere, { events })).secrets).toEqual([`secret of ${told.id}`]);
  });
});
