import { expect, test } from 'vitest';
import { outcomeOf } from '../../../src/core/queue/outcome.ts';
import type { Claimed, Ending } from '../../../src/core/queue/queue.ts';
import { event } from '../gateway.ts';

const ending: Ending = {
  status: 'succeeded',
  failed: false,
  record: {
    start: 'warm',
    isolation: 'fake',
    phases: {},
    statusCode: 200,
    exit: null,
    error: null,
    logs: '',
    logsTruncated: false,
  },
};

function claimed(trigger: Claimed['trigger']): Claimed {
  return {
    id: 'invocation-1',
    attempt: 1,
    lease: 'lease',
    eventId: 'event-id',
    eventName: 'hello',
    eventVersion: 3,
    ownerId: 'owner',
    callerId: 'owner',
    callerTier: null,
    trigger,
    payload: null,
    traceparent: null,
    callbackUrl: 'https://example.com/told',
    replayOf: null,
    depth: 0,
    createdAt: new Date(0),
    failures: 0,
    crashes: 0,
    cancelRequested: false,
    ageMs: 0,
  };
}

test('nobody is told of the end of an invocation that was run again', async () => {
  const deps = { events: { find: async () => undefined }, newId: () => 'id', onDropped: () => {} };
  const attempted = { event: event(), failure: null, record: ending.record };
  expect((await outcomeOf(claimed('async'), attempted, ending, deps)).deliveries).toHaveLength(1);
  expect(await outcomeOf(claimed('replay'), attempted, ending, deps)).toEqual(ending);
});
