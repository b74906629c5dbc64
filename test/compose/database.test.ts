import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase } from '../../src/compose/database.ts';
import { parseConfig } from '../../src/config.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { invocation } from '../contract/samples.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'cronium-database-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

/** What is logged when a gateway ends with three records still to be written. */
async function linesOfAnEnd(isLocked: boolean) {
  const lines: { level: number; msg: string; lost?: number }[] = [];
  const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });
  using other = new DatabaseSync(join(dataDir, 'cronium.db'));
  await using parts = new AsyncDisposableStack();
  const { recorder } = await openDatabase(parts, {
    config: parseConfig({}),
    dataDir,
    secretsKey: randomBytes(32),
    log,
    metrics: new Metrics({ version: '0', eventLabel: false }),
  });
  if (isLocked) other.exec('begin immediate');
  for (let i = 0; i < 3; i++) recorder.record(invocation());
  await parts.disposeAsync();
  return lines;
}

test('records that the database does not take before the end are told of, and how many', async () => {
  const last = (await linesOfAnEnd(true)).at(-1);
  expect(last).toMatchObject({ level: 50, lost: 3 });
  expect(last!.msg).toMatch(/records of invocations are lost: .*; end the gateway before its database/);
});

test('an end that loses nothing says nothing', async () => {
  expect(await linesOfAnEnd(false)).toEqual([]);
});
