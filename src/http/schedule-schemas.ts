import { z } from '@hono/zod-openapi';
import {
  CATCH_UPS,
  DISABLED_REASONS,
  OVERLAPS,
  type ScheduleSettings,
  SKIP_REASONS,
} from '../core/schedules/schedule.ts';
import { cronTiming, isTimeZone, momentOf, TimingError } from '../core/schedules/timing.ts';
import { parseTarget } from '../core/target.ts';

const SCHEDULE_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const MAX_JITTER_MS = 3_600_000;

const settings = {
  name: z
    .string()
    .regex(SCHEDULE_NAME, `must match ${SCHEDULE_NAME.source}`)
    .openapi({ example: 'nightly', description: 'Unique among yours' }),
  event: z
    .string()
    .refine((text) => parseTarget(text) !== undefined, 'must name an event: hello, hello@3 or hello:live')
    .openapi({
      example: 'hello',
      description: 'One of your functions; `@` a version or `:` an alias may follow',
    }),
  cron: z.string().max(255).optional().openapi({
    example: '0 3 * * *',
    description:
      'Five fields, six with seconds in front, or a nickname such as @daily; on the clock of `timeZone`',
  }),
  at: z.string().max(64).optional().openapi({
    example: '2030-01-31T08:00:00Z',
    description:
      'In place of `cron`: once, at this moment; without an offset it is on the clock of `timeZone`',
  }),
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin')
    .default('UTC'),
  payload: z
    .unknown()
    .optional()
    .openapi({ description: 'Any JSON value: the `detail` of what the function gets' }),
  enabled: z.boolean().default(true),
  catchUp: z.enum(CATCH_UPS).default('one').openapi({
    description: 'Of due times that no gateway was there for: none runs, the latest, or the latest hundred',
  }),
  overlap: z.enum(OVERLAPS).default('allow').openapi({
    description: 'While the run before has not ended: skip the due time, queue it, or run beside it',
  }),
  maxRuns: z.int().min(1).max(1_000_000_000).optional(),
  jitterMs: z.int().min(0).max(MAX_JITTER_MS).default(0),
};

type Body = z.output<z.ZodObject<Omit<typeof settings, 'name'>>>;

/** When it comes due is looked at as a whole: expression, moment and time zone depend on each other. */
const timed = (body: Body, context: z.RefinementCtx) => {
  const fault = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  const { cron, at, timeZone } = body;
  if (cron === undefined && at === undefined) return fault('cron', 'or at must be given');
  if (cron !== undefined && at !== undefined) return fault('at', 'cannot be given beside cron');
  // Its own fault is told already.
  if (!isTimeZone(timeZone)) return;
  try {
    if (at !== undefined) momentOf(at, timeZone);
    else if (cronTiming(cron!, timeZone).next(new Date()) === null) fault('cron', 'never comes due');
  } catch (error) {
    if (!(error instanceof TimingError)) throw error;
    fault(at === undefined ? 'cron' : 'at', error.message);
  }
};

/** What `POST /v1/schedules` takes. */
export const newScheduleSchema = z
  .strictObject(settings)
  .superRefine(timed)
  .openapi('NewSchedule', { example: { name: 'nightly', event: 'hello', cron: '0 3 * * *' } });

/** What `PUT /v1/schedules/{name}` takes: the whole schedule again; its name may be left out. */
export const scheduleReplacementSchema = z
  .strictObject({ ...settings, name: settings.name.optional() })
  .superRefine(timed)
  .openapi('ScheduleReplacement', {
    example: { event: 'hello', cron: '0 3 * * 1-5', timeZone: 'Europe/Berlin' },
  });

export function settingsOf(body: Body, name: string): ScheduleSettings {
  const { event, cron, at, timeZone, payload, enabled, catchUp, overlap, maxRuns, jitterMs } = body;
  return {
    name,
    target: event,
    cron: cron?.trim() ?? null,
    at: at === undefined ? null : momentOf(at, timeZone),
    timeZone,
    payload: payload ?? null,
    enabled,
    catchUp,
    overlap,
    maxRuns: maxRuns ?? null,
    jitterMs,
  };
}

const time = z.iso.datetime();

export const scheduleSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    event: z.string(),
    cron: z.string().nullable(),
    at: time.nullable(),
    timeZone: z.string(),
    payload: z.unknown(),
    enabled: z.boolean(),
    disabledReason: z
      .enum(DISABLED_REASONS)
      .nullable()
      .openapi({ description: 'Why it is not enabled, when you did not say so' }),
    catchUp: z.enum(CATCH_UPS),
    overlap: z.enum(OVERLAPS),
    maxRuns: z.int().nullable(),
    jitterMs: z.int(),
    nextAt: time.nullable().openapi({ description: 'The due time that comes next' }),
    runs: z.int(),
    lastRunAt: time.nullable(),
    lastInvocationId: z.string().nullable(),
    skipped: z
      .int()
      .openapi({ description: 'Due times at which nothing ran; of those of a long gap, 100 are counted' }),
    lastSkippedAt: time.nullable(),
    lastSkipReason: z.enum(SKIP_REASONS).nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Schedule');

export const scheduleListSchema = z.object({ items: z.array(scheduleSchema) }).openapi('ScheduleList');
