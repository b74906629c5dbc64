import { expect, test } from 'vitest';
import { type SlotState, Slots } from '../../src/core/slots.ts';

/** A slot brought to a state by the legal way. */
function slotIn(slots: Slots, state: SlotState) {
  const slot = slots.add(false);
  const way: Record<SlotState, SlotState[]> = {
    starting: [],
    ready: ['ready'],
    taken: ['ready', 'taken'],
    gone: ['gone'],
  };
  for (const step of way[state]) slots.move(slot, step);
  return slot;
}

const LEGAL = ['starting ready', 'starting gone', 'ready taken', 'ready gone', 'taken gone'];
const STATES: SlotState[] = ['starting', 'ready', 'taken', 'gone'];

test.for(STATES.flatMap((from) => STATES.map((to) => [from, to] as const)))('%s → %s', ([from, to]) => {
  const slots = new Slots();
  const slot = slotIn(slots, from);
  if (LEGAL.includes(`${from} ${to}`)) {
    slots.move(slot, to);
    expect(slot.state).toBe(to);
  } else {
    expect(() => slots.move(slot, to)).toThrow(`cannot go from ${from} to ${to}`);
    expect(slot.state).toBe(from);
  }
});

test('a slot that is gone is forgotten', () => {
  const slots = new Slots();
  slotIn(slots, 'gone');
  const kept = slotIn(slots, 'ready');
  slotIn(slots, 'ready');
  expect(slots.size).toBe(2);
  expect(slots.count('ready')).toBe(2);
  expect(slots.oldestReady()).toBe(kept);
});
