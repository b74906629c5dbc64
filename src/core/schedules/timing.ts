import { Cron } from 'croner';

/** When a schedule comes due. */
export interface Timing {
  /** The first due time after this one; `null` when there is none. */
  next(after: Date): Date | null;
  /** Up to so many due times before this one, the latest first. */
  before(end: Date, count: number): Date[];
}

/** A cron expression or a moment that cannot be used; the message has the fault and the remedy. */
export class TimingError extends Error {
  override readonly name = 'TimingError';
}

interface Field {
  name: string;
  values: string;
}

const FIELDS: readonly Field[] = [
  { name: 'second', values: '0-59' },
  { name: 'minute', values: '0-59' },
  { name: 'hour', values: '0-23' },
  { name: 'day of month', values: '1-31, L for the last, 15W for the weekday nearest to the 15th' },
  { name: 'month', values: '1-12 or JAN-DEC' },
  { name: 'day of week', values: '0-7 or SUN-SAT (0 and 7 are Sunday), MON#1 for the first Monday' },
];
const NICKNAMES = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];
const MODE = '5-or-6-parts';

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/**
 * Five fields, or six with seconds in front, or a nickname such as `@daily`, on the wall clock of the time zone. When clocks go
 * forward, a job at one time of day in the gap runs right after it, and others skip it; when they go back, a job at one
 * time of day runs at the first of the two, and others at both. That is how Vixie cron does it.
 * @throws TimingError that names the field
 */
export function cronTiming(expression: string, timeZone: string): Timing {
  const cron = parse(expression, timeZone);
  return {
    next: (after) => cron.nextRun(after),
    before: (end, count) => cron.previousRuns(count, end),
  };
}

/** Due once. */
export function onceTiming(at: Date): Timing {
  return {
    next: (after) => (after < at ? at : null),
    before: (end, count) => (at < end && count > 0 ? [at] : []),
  };
}

/**
 * The moment that an ISO 8601 text stands for; without an offset it is on the wall clock of the time zone.
 * @throws TimingError
 */
export function momentOf(text: string, timeZone: string): Date {
  const hasOffset = /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text);
  const moment = !isDay(text) ? null : hasOffset ? new Date(text) : localMoment(text, timeZone);
  if (moment === null || Number.isNaN(moment.getTime())) {
    throw new TimingError(
      'must be a moment in ISO 8601, such as 2030-01-31T08:00:00Z or 2030-01-31T09:00:00',
    );
  }
  return moment;
}

/** Both parsers take February 30 for March 2. */
function isDay(text: string): boolean {
  const [day] = text.split('T');
  const parsed = /^\d{4}-\d{2}-\d{2}$/.test(day ?? '') ? new Date(`${day}T00:00:00Z`) : undefined;
  return (
    parsed !== undefined && !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(`${day}T`)
  );
}

function localMoment(text: string, timeZone: string): Date | null {
  try {
    return new Cron(text, { timezone: timeZone, paused: true }).getOnce();
  } catch {
    return null;
  }
}

function parse(expression: string, timeZone: string): Cron {
  const text = expression.trim();
  try {
    return new Cron(text, { timezone: timeZone, paused: true, mode: MODE });
  } catch {
    throw new TimingError(faultOf(text));
  }
}

/** Found out field by field: the parser counts months and days from 0 in what it says. */
function faultOf(text: string): string {
  if (text.startsWith('@')) return `${text} is not known; use ${NICKNAMES.join(', ')}, or five or six fields`;
  const parts = text.split(/\s+/).filter((part) => part !== '');
  if (parts.length !== 5 && parts.length !== 6) {
    const are = parts.length === 1 ? 'is 1 field' : `are ${parts.length} fields`;
    return `there ${are}; write minute, hour, day of month, month and day of week, with the second in front if it matters`;
  }
  const fields = FIELDS.slice(FIELDS.length - parts.length);
  for (const [index, { name, values }] of fields.entries()) {
    const alone = fields.map((_, at) => (at === index ? parts[index] : '*')).join(' ');
    if (isCron(alone)) continue;
    return `the ${name} ${parts[index]} is not valid; it is one of ${values}, or *, a list 1,2, a range 1-5 or a step */5`;
  }
  return 'is no cron expression';
}

function isCron(text: string): boolean {
  try {
    new Cron(text, { paused: true, mode: MODE });
    return true;
  } catch {
    return false;
  }
}
