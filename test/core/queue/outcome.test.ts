import { expect, test } from 'vitest';
import type { Event } from '../../../src/core/event.ts';
import { outcomeOf } from '../../../src/core/queue/outcome.ts';
import { MAX_DEPTH } from '../../../src/core/queue/queue.ts';
import { claimed, RECORD } from '../../contract/samples.ts';
import { event } from '../gateway.ts';

const told: Event = { ...event(), name: 'told', async: {} };

async function outcome(depth: number, next: Partial<Event> = {}) {
  const dropped: string[] = [];
  const now = { ...event(), async: { onSuccess: { event: 'told' } } };
  const ending = await outcomeOf(
    claimed({ trigger: 'destination', depth }),
    { event: now, failure: null, record: RECORD },
    { status: 'succeeded', record: RECORD, failed: false },
    {
      events: { find: async () => ({ ...told, ...next }) },
      newId: () => 'next',
      onDropped: (reason) => dropped.push(reason),
    },
  );
  return { next: ending.next, dropped };
}

test('an event tells the next one, until the chain is too long', async () => {
  const last = await outcome(MAX_DEPTH - 1);
  expect(last).toMatchObject({
    next: [{ id: 'next', depth: MAX_DEPTH, event: { name: 'told' } }],
    dropped: [],
  });
  expect(await outcome(MAX_DEPTH)).toEqual({ next: [], dropped: [expect.stringContaining('chain')] });
});

test.each([
  ['another’s', { ownerId: 'mallory' }],
  ['disabled', { enabled: false }],
])('an event that is %s is not told', async (_what, over) => {
  expect(await outcome(0, over)).toEqual({ next: [], dropped: [expect.stringContaining('told')] });
});
