import { v7 as uuidv7 } from 'uuid';
import { systemClock } from '../core/clock.ts';
import type { IsolationGrade } from '../core/isolation.ts';
import { ScheduleRunner } from '../core/schedules/runner.ts';
import type { Log } from '../logger.ts';
import type { Database } from './database.ts';

export interface SchedulesOptions {
  database: Pick<Database, 'store' | 'events' | 'aliases' | 'recorder'>;
  grade: IsolationGrade;
  log: Log;
  /** Something was put into the queue. */
  onEnqueued: () => void;
}

/** What runs schedules, and hears of all that changes them. It begins when it is woken. */
export function createScheduleRunner({ database, grade, log, onEnqueued }: SchedulesOptions): ScheduleRunner {
  const { store, events, aliases, recorder } = database;
  const schedules = new ScheduleRunner({
    store: store.schedules,
    clock: systemClock,
    wallNow: Date.now,
    events,
    aliases,
    invocations: recorder,
    grade,
    newId: () => uuidv7(),
    random: Math.random,
    onEnqueued,
    onError: (error) => log.error({ err: error }, 'a schedule could not be run; trying again'),
  });
  store.onSchedulesChanged(() => schedules.wake());
  store.onQueueChanged((change) => {
    if (change.kind === 'ended') schedules.ended(change.id);
  });
  return schedules;
}
