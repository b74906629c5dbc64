import { expect, test } from 'vitest';
import { outcomeOf } from '../../../src/core/queue/outcome.ts';
import type { Ending } from '../../../src/core/queue/queue.ts';
import { claimed, RECORD } from '../../contract/samples.ts';
import { event } from '../gateway.ts';

const ending: Ending = {
  status: 'succeeded',
  failed: false,
  record: RECORD,
};

test('nobody is told of the end of an invocation that was run again', async () => {
  const callbackUrl = 'https://example.com/told';
  const deps = { events: { find: async () => undefined }, newId: () => 'id', onDropped: () => {} };
  const attempted = { event: event(), failure: null, record: ending.record };
  expect((await outcomeOf(claimed({ callbackUrl }), attempted, ending, deps)).deliveries).toHaveLength(1);
  expect(await outcomeOf(claimed({ callbackUrl, trigger: 'replay' }), attempted, ending, deps)).toEqual(
    ending,
  );
});
