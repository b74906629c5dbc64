import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AuditRecord } from '../../src/audit/entry.ts';
import { Repeats } from '../../src/audit/repeats.ts';
import { ChainWriter, type WriterOptions } from '../../src/audit/writer.ts';
import { eventually } from '../faults/served.ts';
import { Log, record } from './log.ts';

const FIRST = 'changes-000000000001.jsonl';
const asRoot = process.getuid?.() === 0;
if (!asRoot) console.log('skips: an audit log on a full disk: only root can mount a small file system');

async function open(log: Log, options: WriterOptions = {}) {
  return new ChainWriter(await log.open(), { delayMs: 1, ...options });
}

test('writes in the order in which it was told, in batches, and signs by itself', async () => {
  using log = new Log();
  const writer = await open(log, { batchSize: 7, checkpointMs: 1 });
  for (let i = 1; i <= 50; i++) writer.record(record(`event-${i}`));
  expect(writer.waiting).toBe(50);
  await eventually('signature', async () => {
    const [report] = await log.verify();
    return report?.signed?.seq === 50 || undefined;
  });
  await writer.written(record('event-51'));
  expect(log.lines(FIRST)).toHaveLength(51);
  await writer.close();
  expect(log.lines(FIRST).map((line) => JSON.parse(line).subject)).toEqual(
    Array.from({ length: 51 }, (_, i) => `event-${i + 1}`),
  );
  expect((await log.verify())[0]).toMatchObject({ faults: [], signed: { seq: 51 } });
});

test('many that wait for being written are written together', async () => {
  using log = new Log();
  const writer = await open(log, { delayMs: 60_000 });
  await Promise.all(Array.from({ length: 200 }, (_, i) => writer.written(record(String(i)))));
  expect(log.lines(FIRST)).toHaveLength(200);
  await writer.close();
  expect(await log.faults()).toEqual([]);
});

test('what comes when too much waits is lost, counted, and the loss is an entry', async () => {
  using log = new Log();
  const writer = await open(log, { capacity: 5 });
  for (let i = 1; i <= 8; i++) writer.record(record(`event-${i}`));
  expect(writer.dropped).toBe(3);
  await writer.close();
  const entries = log.lines(FIRST).map((line) => JSON.parse(line));
  expect(entries).toHaveLength(6);
  expect(entries.at(-1)).toMatchObject({ action: 'audit.lost', detail: { count: 3 } });
  expect(await log.faults()).toMatchObject([{ code: 'lost', line: 6 }]);
});

test('what is recorded after the end is counted as lost', async () => {
  using log = new Log();
  const writer = await open(log);
  await writer.close();
  writer.record(record('late'));
  await expect(writer.written(record('late'))).rejects.toThrow();
  expect(writer.dropped).toBe(2);
});

test.skipIf(!asRoot)(
  'on a full disk it tells, waits, and goes on without a gap when there is room',
  async () => {
    using log = new Log();
    mkdirSync(log.dir);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'cronium-test', log.dir]);
    try {
      const told: unknown[] = [];
      const recovered: number[] = [];
      const writer = await open(log, {
        maxBackoffMs: 20,
        onError: (error) => told.push(error),
        onRecovered: (lost) => recovered.push(lost),
      });
      await writer.written(record('before'));
      const ballast = join(log.dir, 'ballast');
      for (let size = 120; size > 0; size -= 4) {
        try {
          writeFileSync(ballast, Buffer.alloc(size * 1_024));
          break;
        } catch {}
      }
      const large = { detail: { text: 'x'.repeat(8_000) } };
      await expect(writer.written(record('during', large))).rejects.toMatchObject({ code: 'ENOSPC' });
      await expect(writer.written(record('during too', large))).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(writer.trouble).toMatchObject({ code: 'ENOSPC' });
      expect(writer.waiting).toBe(2);
      expect(told.length).toBeGreaterThan(0);
      rmSync(ballast);
      await eventually('recovery', async () => writer.waiting === 0 || undefined);
      expect([writer.trouble, recovered]).toEqual([undefined, [0]]);
      await writer.close();
      expect(log.lines(FIRST).map((line) => JSON.parse(line).subject)).toEqual([
        'before',
        'during',
        'during too',
      ]);
      expect(await log.faults()).toEqual([]);
    } finally {
      execFileSync('umount', [log.dir]);
    }
  },
);

test('refusals of one kind are an entry and a number, and those of too many kinds a number', () => {
  const written: AuditRecord[] = [];
  const repeats = new Repeats((each) => written.push(each), 60_000);
  const refusal = (sourceIp: string) =>
    repeats.refused(record('x', { outcome: 'refused', code: 'unauthorized', sourceIp, requestId: 'r' }));
  for (let i = 0; i < 1_000; i++) refusal('192.0.2.1');
  expect(written).toHaveLength(1);
  for (let i = 0; i < 5_000; i++) refusal(`2001:db8::${i.toString(16)}`);
  expect(written).toHaveLength(100);
  repeats.flush();
  expect(written.slice(100)).toEqual([
    expect.objectContaining({ sourceIp: '192.0.2.1', code: 'unauthorized', detail: { repeated: 999 } }),
    expect.objectContaining({ actor: null, detail: { kinds: 'others', repeated: 4_901 } }),
  ]);
  expect(written[100]).not.toHaveProperty('requestId');
  refusal('192.0.2.1');
  expect(written).toHaveLength(103);
  repeats.flush();
});
