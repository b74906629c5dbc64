import { v7 as uuidv7 } from 'uuid';
import type { Enqueuer } from '../core/enqueue.ts';
import type { IsolationGrade } from '../core/isolation.ts';
import { Replays } from '../core/replays/replays.ts';
import type { Database } from './database.ts';

export interface ReplaysOptions {
  database: Database;
  enqueuer: Enqueuer;
  grade: IsolationGrade;
  /** Something was put into the queue beside the enqueuer. */
  onEnqueued: () => void;
}

/** What runs kept calls again. */
export function createReplays({ database, enqueuer, grade, onEnqueued }: ReplaysOptions): Replays {
  const { store, events, aliases, recorder, keeper } = database;
  return new Replays({
    store: store.replays,
    enqueuer,
    grade,
    events,
    aliases,
    flush: async () => {
      await Promise.all([recorder.flush(), keeper.flush()]);
    },
    onEnqueued,
    newId: () => uuidv7(),
    now: () => new Date(),
    random: Math.random,
  });
}
