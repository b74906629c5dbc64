import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import {
  fireTime,
  type Schedule,
  type ScheduleSettings,
  type ScheduleState,
  timingOf,
} from '../core/schedules/schedule.ts';
import { parseTarget, withQualifier } from '../core/target.ts';
import { type Fault, GatewayError } from '../errors.ts';
import { jsonBody } from './body.ts';
import { type App, type AppDeps, type AppEnv, secured } from './context.ts';
import { bearer, json, jsonRequest, problems } from './openapi.ts';
import {
  newScheduleSchema,
  scheduleListSchema,
  scheduleReplacementSchema,
  scheduleSchema,
  settingsOf,
} from './schedule-schemas.ts';
import { demandInvoke } from './scopes.ts';

const MAX_BODY_BYTES = 262_144;

const params = z.object({ name: z.string() });

/** Calls of functions at times that are set. */
export function registerSchedules(app: App, deps: AppDeps): void {
  const { auth, schedules } = deps;
  const read = secured(auth, 'events:read');
  const write = secured(auth, 'events:write');
  const body = jsonBody(MAX_BODY_BYTES);

  const create = createRoute({
    method: 'post',
    path: '/v1/schedules',
    operationId: 'createSchedule',
    summary: 'Call one of your functions by a cron expression, or once at a moment',
    security: bearer,
    middleware: [write, body] as const,
    request: { ...jsonRequest(newScheduleSchema) },
    responses: { 201: json('Made', scheduleSchema), ...problems(400, 401, 403, 409, 413, 415, 422) },
  });
  app.openapi(create, async (c) => {
    const request = c.req.valid('json');
    const settings = settingsOf(request, request.name);
    await demandTarget(c, settings, deps);
    const schedule = await schedules.create(ownerOf(c), settings, beginning(settings, undefined, deps));
    return c.json(viewOf(schedule), 201, { Location: `/v1/schedules/${schedule.name}` });
  });

  const list = createRoute({
    method: 'get',
    path: '/v1/schedules',
    operationId: 'listSchedules',
    summary: 'Your schedules, sorted by name',
    security: bearer,
    middleware: [read] as const,
    responses: { 200: json('Your schedules', scheduleListSchema), ...problems(401, 403) },
  });
  app.openapi(list, async (c) => {
    const items = (await schedules.list(c.var.principal.userId)).map(viewOf);
    return c.json({ items }, 200);
  });

  const get = createRoute({
    method: 'get',
    path: '/v1/schedules/{name}',
    operationId: 'getSchedule',
    summary: 'One of your schedules: when it comes due next, and what came of it so far',
    security: bearer,
    middleware: [read] as const,
    request: { params },
    responses: { 200: json('The schedule', scheduleSchema), ...problems(401, 403, 404) },
  });
  app.openapi(get, async (c) => {
    const { name } = c.req.valid('param');
    const schedule = await schedules.find(c.var.principal.userId, name);
    if (schedule === undefined) throw noSchedule(name);
    return c.json(viewOf(schedule), 200);
  });

  const replace = createRoute({
    method: 'put',
    path: '/v1/schedules/{name}',
    operationId: 'replaceSchedule',
    summary: 'Replace a schedule; what is left out takes its default, and runs are counted anew',
    security: bearer,
    middleware: [write, body] as const,
    request: { params, ...jsonRequest(scheduleReplacementSchema) },
    responses: { 200: json('Replaced', scheduleSchema), ...problems(400, 401, 403, 404, 413, 415, 422) },
  });
  app.openapi(replace, async (c) => {
    const { name } = c.req.valid('param');
    const request = c.req.valid('json');
    if (request.name !== undefined && request.name !== name) {
      throw invalid('A schedule cannot be renamed: make another one', {
        path: 'name',
        message: `must be ${name}, as in the URL, or left out`,
      });
    }
    const settings = settingsOf(request, name);
    if ((await schedules.find(c.var.principal.userId, name)) === undefined) throw noSchedule(name);
    await demandTarget(c, settings, deps);
    const stateOf = (before: Schedule) => beginning(settings, before, deps);
    const schedule = await schedules.replace(ownerOf(c), settings, stateOf);
    if (schedule === undefined) throw noSchedule(name);
    return c.json(viewOf(schedule), 200);
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/schedules/{name}',
    operationId: 'removeSchedule',
    summary: 'Remove a schedule; what it ran stays',
    security: bearer,
    middleware: [write] as const,
    request: { params },
    responses: { 204: { description: 'Removed' }, ...problems(401, 403, 404) },
  });
  app.openapi(remove, async (c) => {
    const { name } = c.req.valid('param');
    if (!(await schedules.remove(c.var.principal.userId, name))) throw noSchedule(name);
    return c.body(null, 204);
  });
}

const noSchedule = (name: string) => new GatewayError('not_found', `You have no schedule named ${name}`);

const invalid = (message: string, fault: Fault) =>
  new GatewayError('validation_failed', message, { faults: [fault] });

const ownerOf = (c: Context<AppEnv>) => ({ id: c.var.principal.userId, tier: c.var.principal.tier });

/** Whoever schedules an event must be allowed to call it, and it must be there. */
async function demandTarget(c: Context<AppEnv>, settings: ScheduleSettings, deps: AppDeps): Promise<void> {
  const { principal } = c.var;
  const target = parseTarget(settings.target);
  const event = target && (await deps.events.find(target.name));
  if (event?.ownerId !== principal.userId) {
    const message = `you have no event named ${target?.name ?? settings.target}; deploy it first`;
    throw invalid('A schedule calls an event of yours', { path: 'event', message });
  }
  c.set('event', event);
  demandInvoke(principal, event);
  await withQualifier(event, target?.qualifier, deps).catch((error: unknown) => {
    if (!(error instanceof GatewayError) || error.code !== 'not_found') throw error;
    throw invalid('A schedule calls what there is', { path: 'event', message: error.message });
  });
}

/**
 * Where a schedule begins, or goes on with other settings: at the first due time that is to come and has not run.
 * @throws GatewayError `validation_failed` when there is none
 */
function beginning(
  settings: ScheduleSettings,
  before: Schedule | undefined,
  { now, random }: Pick<AppDeps, 'now' | 'random'>,
): ScheduleState {
  const { enabled, jitterMs } = settings;
  const lastDueAt = before?.lastDueAt ?? null;
  const after = new Date(Math.max(now().getTime(), lastDueAt?.getTime() ?? 0));
  const nextAt = enabled ? timingOf(settings).next(after) : null;
  if (enabled && nextAt === null) {
    const path = settings.at === null ? 'cron' : 'at';
    throw invalid('The schedule would never run', { path, message: 'has no due time that is to come' });
  }
  return {
    enabled,
    disabledReason: null,
    nextAt,
    fireAt: fireTime(nextAt, jitterMs, random()),
    held: false,
    lastDueAt,
    lastRunAt: before?.lastRunAt ?? null,
    lastInvocationId: before?.lastInvocationId ?? null,
    runs: 0,
    skipped: 0,
    lastSkippedAt: null,
    lastSkipReason: null,
  };
}

function viewOf(schedule: Schedule): z.infer<typeof scheduleSchema> {
  const { id, name, target, cron, timeZone, payload, enabled, disabledReason, catchUp, overlap } = schedule;
  const { maxRuns, jitterMs, runs, lastInvocationId, skipped, lastSkipReason } = schedule;
  const text = (date: Date | null) => date?.toISOString() ?? null;
  return {
    id,
    name,
    event: target,
    cron,
    at: text(schedule.at),
    timeZone,
    payload,
    enabled,
    disabledReason,
    catchUp,
    overlap,
    maxRuns,
    jitterMs,
    nextAt: text(schedule.nextAt),
    runs,
    lastRunAt: text(schedule.lastRunAt),
    lastInvocationId,
    skipped,
    lastSkippedAt: text(schedule.lastSkippedAt),
    lastSkipReason,
    createdAt: schedule.createdAt.toISOString(),
    updatedAt: schedule.updatedAt.toISOString(),
  };
}
