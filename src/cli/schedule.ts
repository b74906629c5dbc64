import { Command } from 'commander';
import { Client, type ClientOptions, describeProblem, withClientOptions } from './client.ts';

interface AddOptions extends ClientOptions {
  cron?: string;
  at?: string;
  timeZone?: string;
  data?: string;
  catchUp?: string;
  overlap?: string;
  maxRuns?: string;
  jitter?: string;
}

interface ScheduleView {
  name: string;
  event: string;
  cron: string | null;
  timeZone: string;
  enabled: boolean;
  disabledReason: string | null;
  nextAt: string | null;
  lastRunAt: string | null;
  runs: number;
  skipped: number;
}

export function scheduleCommand(): Command {
  const add = new Command('add')
    .description('call an event by a cron expression, or once; one of that name is replaced')
    .argument('<name>', 'the schedule')
    .argument('<event>', 'one of your events: hello, hello@3 or hello:live')
    .option('--cron <expression>', "five fields, six with seconds in front, or @daily: '0 3 * * 1-5'")
    .option('--at <moment>', 'once instead, in ISO 8601: 2030-01-31T08:00:00Z')
    .option('--time-zone <zone>', 'whose clock it goes by: Europe/Berlin (default: UTC)')
    .option('-d, --data <json>', 'what the function gets as detail')
    .option('--catch-up <policy>', 'of due times that were missed: skip, one or all (default: one)')
    .option('--overlap <policy>', 'while the run before goes on: skip, queue or allow (default: allow)')
    .option('--max-runs <n>', 'end after so many runs')
    .option('--jitter <ms>', 'begin each run up to so much later, by chance');
  const list = new Command('list').description('your schedules, with what came of them');
  const remove = new Command('remove').description('remove a schedule').argument('<name>', 'the schedule');
  return new Command('schedule')
    .description('call events at set times')
    .addCommand(withClientOptions(add).action(addSchedule))
    .addCommand(withClientOptions(list).action(listSchedules))
    .addCommand(withClientOptions(remove).action(removeSchedule));
}

async function addSchedule(name: string, event: string, options: AddOptions): Promise<void> {
  const client = await Client.of(options);
  const { cron, at, timeZone, data, catchUp, overlap, maxRuns, jitter } = options;
  const schedule = {
    name,
    event,
    cron,
    at,
    timeZone,
    payload: data === undefined ? undefined : payloadOf(data),
    catchUp,
    overlap,
    maxRuns: maxRuns === undefined ? undefined : numberOf('--max-runs', maxRuns),
    jitterMs: jitter === undefined ? undefined : numberOf('--jitter', jitter),
  };
  const request = {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(schedule),
  };
  let response = await client.fetch('/v1/schedules', { method: 'POST', ...request });
  if (response.status === 409) {
    const path = `/v1/schedules/${encodeURIComponent(name)}`;
    response = await client.fetch(path, { method: 'PUT', ...request });
  }
  if (!response.ok) throw new Error(await describeProblem(response));
  print((await response.json()) as ScheduleView);
}

async function listSchedules(options: ClientOptions): Promise<void> {
  const client = await Client.of(options);
  const { items } = await client.json<{ items: ScheduleView[] }>('/v1/schedules');
  for (const item of items) print(item);
}

async function removeSchedule(name: string, options: ClientOptions): Promise<void> {
  const client = await Client.of(options);
  const path = `/v1/schedules/${encodeURIComponent(name)}`;
  const response = await client.fetch(path, { method: 'DELETE' });
  if (!response.ok) throw new Error(await describeProblem(response));
}

function payloadOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`-d ${text}: write JSON, such as '{"full": true}'.`);
  }
}

function numberOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new Error(`${option}: ${text} is no number.`);
  return value;
}

function print(schedule: ScheduleView): void {
  const { name, event, cron, timeZone, nextAt, lastRunAt, runs, skipped, disabledReason, enabled } = schedule;
  const what = cron === null ? 'once' : `${cron} (${timeZone})`;
  const next = enabled
    ? `next ${nextAt}`
    : `not enabled${disabledReason === null ? '' : `: ${disabledReason}`}`;
  const last = lastRunAt === null ? '' : `, last ${lastRunAt}`;
  process.stdout.write(`${name} ${event} ${what}: ${next}${last}; ${runs} runs, ${skipped} skipped\n`);
}
