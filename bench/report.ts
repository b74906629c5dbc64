import type { DurableResult } from './durable.ts';
import type { BackendResult, RuntimeResult } from './measure.ts';

/** One thing that the gateway is to be measured by, as a ratio or difference within one run. */
export interface Goal {
  goal: string;
  value: number;
  limit: string;
  met: boolean;
}

const ms = (value: number | undefined) => (value === undefined ? '' : value.toFixed(value < 100 ? 2 : 0));

export function table(results: readonly BackendResult[]): string {
  const head =
    '| isolation | runtime | docker run | docker exec | bare hand-off | gateway warm | p99 | bare cold | gateway cold | bare/s | gateway/s |';
  const rows = results.flatMap(({ isolation, runtimes }) =>
    runtimes.map((r) =>
      [
        '',
        isolation,
        r.runtime,
        ms(r.dockerRun?.p50),
        ms(r.dockerExec?.p50),
        ms(r.bareWarm.p50),
        ms(r.gatewayWarm.p50),
        ms(r.gatewayWarm.p99),
        ms(r.bareCold.p50),
        ms(r.gatewayCold.p50),
        r.sustained.barePerSecond.toFixed(1),
        r.sustained.gatewayPerSecond.toFixed(1),
        '',
      ]
        .join(' | ')
        .trim(),
    ),
  );
  return [head, head.replace(/[^|]+/g, ' --- '), ...rows].join('\n');
}

export function goals(results: readonly BackendResult[]): Goal[] {
  return results.flatMap(({ isolation, readyMs, memoryAtRestMb, runtimes }) => [
    atMost(`${isolation}: /readyz after start, ms`, readyMs, 1_000),
    atMost(`${isolation}: memory at rest, MiB`, memoryAtRestMb, 120),
    ...runtimes.flatMap((result) => goalsOf(isolation, result)),
  ]);
}

function goalsOf(isolation: string, r: RuntimeResult): Goal[] {
  const name = `${isolation} ${r.runtime}`;
  const found = [
    atMost(
      `${name}: warm p50 above bare hand-off, ms`,
      r.gatewayWarm.p50 - r.bareWarm.p50,
      isolation.endsWith('+runsc') ? 5 : 2,
    ),
    atMost(`${name}: warm p99 / p50`, r.gatewayWarm.p99 / r.gatewayWarm.p50, 5),
    atMost(`${name}: cold p50 above bare cold, ms`, r.gatewayCold.p50 - r.bareCold.p50, 10),
    atLeast(`${name}: sustained / bare`, r.sustained.gatewayPerSecond / r.sustained.barePerSecond, 0.9),
  ];
  if (r.dockerRun) found.push(atLeast(`${name}: docker run / warm`, r.dockerRun.p50 / r.gatewayWarm.p50, 50));
  if (r.dockerExec)
    found.push(atLeast(`${name}: docker exec / warm`, r.dockerExec.p50 / r.gatewayWarm.p50, 15));
  return found;
}

function atMost(goal: string, value: number, limit: number): Goal {
  return { goal, value, limit: `≤ ${limit}`, met: value <= limit };
}

function atLeast(goal: string, value: number, limit: number): Goal {
  return { goal, value, limit: `≥ ${limit}`, met: value >= limit };
}

export function goalTable(found: readonly Goal[]): string {
  const rows = found.map(
    ({ goal, value, limit, met }) => `| ${met ? '✔' : '✘'} | ${goal} | ${value.toFixed(2)} | ${limit} |`,
  );
  return ['| | goal | measured | limit |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

export function loadTable(results: readonly BackendResult[]): string {
  const rows = results.flatMap(({ isolation, runtimes }) =>
    runtimes.flatMap(({ runtime, concurrent, burst }) => [
      ...concurrent.map(
        ({ clients, latency, perSecond, warmShare }) =>
          `| ${isolation} | ${runtime} | ${clients} clients | ${ms(latency.p50)} | ${ms(latency.p99)} | ${perSecond.toFixed(1)} | ${Math.round(warmShare * 100)} % |`,
      ),
      `| ${isolation} | ${runtime} | burst of ${burst.size} | ${ms(burst.latency.p50)} | ${ms(burst.latency.max)} | | ${burst.warm} of ${burst.size} |`,
    ]),
  );
  return [
    '| isolation | runtime | load | p50 | p99 | a second | warm |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

export function durableGoals({ gateway, claims }: DurableResult): Goal[] {
  return [
    atMost('webhook accepted durably on SQLite, p50, ms', gateway.oneByOne.p50, 3),
    atLeast(`webhooks accepted a second, ${gateway.connections} connections`, gateway.perSecond, 1_000),
    // Of the fastest: the first claims are made by code that is not compiled yet.
    ...claims.map(({ database, rates }) => {
      const best = Math.max(...rates.map(({ claimsPerSecond }) => claimsPerSecond));
      return atLeast(
        `${database}: claims a second with ${rates.at(-1)?.backlog} waiting / at best`,
        (rates.at(-1)?.claimsPerSecond ?? 0) / best,
        0.5,
      );
    }),
  ];
}

export function durableTables({ gateway, bare, claims }: DurableResult): string {
  const accepting = Object.entries({ 'gateway, over HTTP': gateway, 'bare inserts': bare }).map(
    ([name, { oneByOne, perSecond }]) =>
      `| ${name} | ${ms(oneByOne.p50)} | ${ms(oneByOne.p99)} | ${Math.round(perSecond)} |`,
  );
  const backlogs = claims[0]?.rates.map(({ backlog }) => backlog) ?? [];
  const rows = claims.map(
    ({ database, rates }) =>
      `| ${database} | ${rates.map(({ claimsPerSecond }) => claimsPerSecond).join(' | ')} |`,
  );
  return [
    `| accepting durably, SQLite | p50 | p99 | a second, ${gateway.connections} at once |`,
    '| --- | --- | --- | --- |',
    ...accepting,
    '',
    `| claims a second, with waiting | ${backlogs.join(' | ')} |`,
    `| --- |${' --- |'.repeat(backlogs.length)}`,
    ...rows,
  ].join('\n');
}
