import type { EnqueueRequest } from '../../../src/core/enqueue.ts';
import type { Invocation } from '../../../src/core/invocation.ts';
import type { IsolationGrade } from '../../../src/core/isolation.ts';
import type { Schedule, ScheduleState } from '../../../src/core/schedules/schedule.ts';
import type { TickDeps } from '../../../src/core/schedules/tick.ts';
import { DUE, invocation, scheduleSettings, scheduleState } from '../../contract/samples.ts';
import { event } from '../gateway.ts';

export const START = DUE;

export function schedule(over: Partial<Schedule> = {}): Schedule {
  return {
    id: 'schedule-id',
    ownerId: 'owner',
    tier: 'pro',
    ...scheduleSettings(),
    ...scheduleState(),
    revision: 1,
    createdAt: START,
    updatedAt: START,
    ...over,
  };
}

/** What a schedule may call, and what became of it. */
export class Surroundings implements TickDeps {
  event: ReturnType<typeof event> | undefined = event();
  readonly statuses = new Map<string, Invocation['status']>();
  grade: IsolationGrade = { isolation: 'fake', kernel: 'host', level: 'basic' };
  random = () => 0.5;
  #ids = 0;

  readonly events = {
    find: async () => this.event,
    findVersion: async (_event: unknown, version: number) =>
      version < 4 ? { ...event().current, version } : undefined,
  };
  readonly aliases = {
    find: async (_event: unknown, name: string) =>
      name === 'live' ? { name, version: 2, split: null, createdAt: START, updatedAt: START } : undefined,
  };
  readonly invocations = {
    find: async (id: string) => {
      const status = this.statuses.get(id);
      return status && invocation({ id, status });
    },
  };

  readonly newId = () => {
    this.#ids += 1;
    const id = `run-${this.#ids}`;
    this.statuses.set(id, 'queued');
    return id;
  };
}

/** Schedules in memory, as the database keeps them. */
export class FakeScheduleStore {
  readonly rows = new Map<string, Schedule>();
  readonly runs: EnqueueRequest[] = [];
  asked = 0;
  away = false;

  put(row: Schedule): void {
    this.rows.set(row.id, row);
  }

  only(): Schedule {
    return [...this.rows.values()][0]!;
  }

  async due(now: Date, limit: number, ended: readonly string[]): Promise<Schedule[]> {
    this.asked += 1;
    if (this.away) throw new Error('away');
    const due = [...this.rows.values()].filter(
      ({ fireAt, held, lastInvocationId }) =>
        (fireAt !== null && fireAt <= now) || (held && ended.includes(lastInvocationId ?? '')),
    );
    return due.slice(0, limit);
  }

  async nextFireAt(): Promise<Date | undefined> {
    const times = [...this.rows.values()].flatMap(({ fireAt }) => (fireAt === null ? [] : [fireAt]));
    return times.toSorted((a, b) => a.getTime() - b.getTime())[0];
  }

  async advance(before: Schedule, state: ScheduleState, runs: readonly EnqueueRequest[]): Promise<boolean> {
    const now = this.rows.get(before.id);
    if (now?.revision !== before.revision) return false;
    this.rows.set(before.id, { ...now, ...state, revision: now.revision + 1 });
    this.runs.push(...runs);
    return true;
  }
}
