import type { Schedule } from './schedule.ts';

/** What a function gets at a due time: the shape of Amazon EventBridge's scheduled events, with the payload as `detail`. */
export interface ScheduledEvent {
  version: '0';
  id: string;
  'detail-type': 'Scheduled Event';
  source: 'cronium.schedule';
  account: string;
  /** The due time, and not when it ran. */
  time: string;
  resources: [string];
  detail: unknown;
}

export function scheduledEvent(schedule: Schedule, invocationId: string, due: Date): ScheduledEvent {
  return {
    version: '0',
    id: invocationId,
    'detail-type': 'Scheduled Event',
    source: 'cronium.schedule',
    account: schedule.ownerId,
    time: due.toISOString().replace('.000Z', 'Z'),
    resources: [`/v1/schedules/${schedule.name}`],
    detail: schedule.payload ?? {},
  };
}
