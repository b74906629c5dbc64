import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createSigner } from '../../src/signing.ts';
import { Log, record, signer } from './log.ts';

const FIRST = 'changes-000000000001.jsonl';
const timed = (subject: string) => ({ record: record(subject), time: new Date() });

test('is for nobody else to read', async () => {
  using log = new Log();
  await log.write(1);
  expect(statSync(log.dir).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(log.dir)) expect(statSync(log.path(name)).mode & 0o777, name).toBe(0o600);
});

test('goes on where it ended, over restarts', async () => {
  using log = new Log();
  for (let i = 0; i < 3; i++) await log.write(2);
  expect(log.lines(FIRST).map((line) => JSON.parse(line).seq)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await log.faults()).toEqual([]);
});

test('keeps so many files and the proof of what was before them', async () => {
  using log = new Log();
  await log.write(40, { maxBytes: 1_000, maxFiles: 3 });
  const files = log.files();
  expect(files).toHaveLength(3);
  const [report] = await log.verify();
  expect(report).toMatchObject({ faults: [], files: 3, head: { seq: 40 } });
  expect(report!.removedUpTo).toBe(report!.first! - 1);
  expect(report!.removedUpTo).toBeGreaterThan(20);
  for (const file of files.slice(0, -1)) expect(statSync(log.path(file)).size).toBeLessThanOrEqual(1_000);
  await log.write(1, { maxBytes: 1_000, maxFiles: 2 });
  expect((await log.verify())[0]).toMatchObject({ faults: [], head: { seq: 41 } });
});

test('a removal that a crash has interrupted is no fault, and is finished at the next start', async () => {
  using log = new Log();
  await log.write(6, { maxBytes: 1_000, maxFiles: 9 });
  const [oldest] = log.files();
  const kept = log.read(oldest!);
  await log.write(12, { maxBytes: 1_000, maxFiles: 2 });
  expect(log.files()).not.toContain(oldest);
  writeFileSync(log.path(oldest!), kept);
  expect(await log.faults()).toEqual([]);
  await log.write(1, { maxBytes: 1_000, maxFiles: 2 });
  expect(log.files()).not.toContain(oldest);
});

test.each(['{"action":"event.dep', '\0\0\0\0\0\0\0\0', '\0\0\n\0\0', 'no entry\n'])(
  'what a crash has left at the end (%j) is set aside, told, and the chain goes on',
  async (torn) => {
    using log = new Log();
    await log.write(3);
    appendFileSync(log.path(FIRST), torn);
    await using chain = await log.open();
    expect(chain.damages).toMatchObject([
      { action: 'audit.recovered', outcome: 'ok', detail: { file: FIRST, bytes: torn.length } },
    ]);
    await chain.append([timed('after')]);
    await chain.checkpoint();
    expect(await log.faults()).toEqual([]);
    const [aside] = readdirSync(log.dir).filter((name) => name.includes('.torn-'));
    expect(readFileSync(log.path(aside!), 'utf8')).toBe(torn);
  },
);

test('a file that a crash has left empty is begun anew', async () => {
  using log = new Log();
  await log.write(3);
  writeFileSync(log.path('changes-000000000004.jsonl'), '');
  await using chain = await log.open();
  expect(chain.damages).toEqual([]);
  expect(chain.head.seq).toBe(3);
  await chain.append([timed('after')]);
  expect(log.files()).toEqual([FIRST]);
});

test('entries that were written and not yet signed are kept after a crash', async () => {
  using log = new Log();
  const dead = await log.open();
  await dead.append([timed('a'), timed('b')]);
  // Never closed: as if it had been killed now.
  await using chain = await log.open();
  expect(chain.damages).toEqual([]);
  expect(chain.head.seq).toBe(2);
  expect(await log.faults()).toEqual([]);
});

test('an end that is missing at a start stays missing, whatever is written after it', async () => {
  using log = new Log();
  await log.write(6);
  log.edit(FIRST, (lines) => lines.slice(0, 3));
  {
    await using chain = await log.open();
    expect(chain.damages).toMatchObject([{ action: 'audit.broken', detail: { from: 4, to: 6 } }]);
    await chain.append(chain.damages.map((each) => ({ record: each, time: new Date() })));
  }
  const codes = (await log.faults()).map(({ code, file, line }) => [code, file, line]);
  const second = 'changes-000000000007.jsonl';
  expect(codes).toEqual([
    ['broken_link', second, 1],
    ['found_broken', second, 1],
  ]);
});

test('a log that was written anew before a start is not signed without a word', async () => {
  using log = new Log();
  await log.write(6);
  const lines = log.lines(FIRST);
  rmSync(log.path(FIRST));
  rmSync(log.path('changes.checkpoint'));
  await log.write(6);
  const forged = log.read(FIRST);
  rmSync(log.path('changes.checkpoint'));
  expect(forged).not.toBe(`${lines.join('\n')}\n`);
  {
    await using chain = await log.open();
    expect(chain.damages).toMatchObject([
      { action: 'audit.broken', detail: { reason: 'there is no checkpoint' } },
    ]);
    await chain.append(chain.damages.map((each) => ({ record: each, time: new Date() })));
  }
  expect(await log.faults()).toMatchObject([{ code: 'found_broken', line: 7 }]);
});

test('another key takes up no chain without a word', async () => {
  using log = new Log();
  await log.write(2);
  const other = await createSigner(new Uint8Array(32).fill(8));
  await using chain = await log.open({ signer: other });
  expect(chain.damages).toMatchObject([{ action: 'audit.broken', detail: { signedBy: other.kid } }]);
  expect(other.kid).not.toBe(signer.kid);
});
