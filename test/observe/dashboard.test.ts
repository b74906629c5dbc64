import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Metrics } from '../../src/observe/metrics.ts';
import { invocation } from './fixtures.ts';
import { Watched } from './watched.ts';

const dashboardSchema = z.object({
  panels: z.array(
    z.object({
      title: z.string(),
      type: z.string(),
      targets: z.array(z.object({ expr: z.string() })).default([]),
    }),
  ),
});
const METRIC = /\b(?:cronium|process|nodejs)_[a-z0-9_]+/g;
const LABEL_MATCH = /\{[^}]*\}/g;

async function queries(): Promise<string[]> {
  const text = await readFile(new URL('../../deploy/grafana/cronium.json', import.meta.url), 'utf8');
  const { panels } = dashboardSchema.parse(JSON.parse(text));
  return panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
}

test('the dashboard asks only for metrics that a gateway has', async () => {
  await using gateway = await Watched.open();
  await gateway.harness.deploy({ auth: 'public' });
  await gateway.harness.app.request('/e/hello');
  const response = await gateway.harness.app.request('/metrics');
  const known = new Set<string>();
  for (const [, name, type] of (await response.text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    for (const suffix of type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''])
      known.add(name + suffix);
  }
  const asked = (await queries()).flatMap((query) => query.replaceAll(LABEL_MATCH, '').match(METRIC) ?? []);
  expect(asked.length).toBeGreaterThan(20);
  expect(asked.filter((name) => !known.has(name))).toEqual([]);
});

test('the dashboard groups and selects only by labels that those metrics have', async () => {
  const metrics = new Metrics({ version: '1', eventLabel: false });
  const grade = { isolation: 'fake', kernel: 'host', level: 'basic' } as const;
  const given = { isolation: 'fake', securityLevel: 'basic' } as const;
  const pool = { key: 'p', runtime: 'python' as const, ...given, min: 0, max: 1, lastError: null };
  const counts = {
    target: 1,
    starting: 0,
    ready: 1,
    taken: 0,
    waiting: 0,
    warmStarts: 1,
    coldStarts: 0,
    bootFailures: 0,
  };
  metrics.watch({
    pools: () => [{ ...pool, ...counts }],
    admission: () => ({ running: 0, queued: 0 }),
    recorder: () => ({ waiting: 0, dropped: 0 }),
    grade,
  });
  metrics.invocationEnded(invocation({ error: { code: 'function_error', message: '' } }), 'python');
  metrics.refused('no_capacity');
  metrics.bootEnded({ runtime: 'python', durationMs: 1, ok: true });
  metrics.requestAnswered({ method: 'GET', route: '/', status: 404, durationMs: 1, code: 'not_found' });
  const { body } = await metrics.render();
  for (const query of await queries()) {
    const [name] = query.match(/\bcronium_[a-z0-9_]+/) ?? [];
    if (name === undefined) continue;
    const line = body.split('\n').find((each) => each.startsWith(`${name}{`) || each.startsWith(`${name} `))!;
    const labels = [...(/ by \(([^)]*)\)/.exec(query)?.[1]?.split(/, */) ?? [])];
    for (const [, label] of query.matchAll(/,(\w+)="/g)) labels.push(label!);
    for (const label of labels) expect(line, query).toContain(`${label}="`);
  }
});
