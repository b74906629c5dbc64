import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../src/audit/canonical-json.ts';
import { type AuditEntry, hashOf } from '../../src/audit/entry.ts';
import { type FaultCode, verifyAudit } from '../../src/audit/verify.ts';
import { createSigner } from '../../src/signing.ts';
import { Log, record, signer } from './log.ts';

const FIRST = 'changes-000000000001.jsonl';

/** An entry as somebody would write it who has no key but can count and hash. */
function forged(line: string, changes: Partial<AuditEntry>): string {
  const { hash: _, ...entry } = { ...(JSON.parse(line) as AuditEntry), ...changes };
  return canonicalJson({ ...entry, hash: hashOf(entry) });
}

/** All entries from one on written anew, with hashes that fit. */
function rewritten(
  lines: string[],
  from: number,
  change: (entry: AuditEntry) => Partial<AuditEntry>,
): string[] {
  const all = lines.slice(0, from);
  for (const line of lines.slice(from)) {
    const before = JSON.parse(all.at(-1) ?? 'null') as AuditEntry | null;
    const link = before && { prev: before.hash, seq: before.seq + 1 };
    all.push(forged(line, { ...change(JSON.parse(line) as AuditEntry), ...link }));
  }
  return all;
}

test('an untouched log has no fault, and says how far it reaches', async () => {
  using log = new Log();
  await log.write(5);
  const [report] = await log.verify();
  const last = JSON.parse(log.lines(FIRST).at(-1)!) as AuditEntry;
  expect(report).toMatchObject({
    chain: 'changes',
    files: 1,
    entries: 5,
    first: 1,
    head: { seq: 5, hash: last.hash },
    signed: { seq: 5, hash: last.hash },
    faults: [],
    notes: [],
  });
});

const swap = (lines: string[], a: number, b: number) => {
  const swapped = [...lines];
  [swapped[a], swapped[b]] = [swapped[b]!, swapped[a]!];
  return swapped;
};

/** What is done to ten entries, and what must be found, where. */
const DAMAGES: [string, (lines: string[]) => string[], { code: FaultCode; line?: number }[]][] = [
  [
    'a word that was changed',
    (lines) => lines.with(3, lines[3]!.replace('alice', 'mallory')),
    [{ code: 'edited', line: 4 }],
  ],
  [
    'a word that was changed, with a hash to fit',
    (lines) => lines.with(3, forged(lines[3]!, { actor: 'mallory' })),
    [{ code: 'broken_link', line: 5 }],
  ],
  ['an entry that was removed', (lines) => lines.toSpliced(4, 1), [{ code: 'broken_link', line: 5 }]],
  ['several that were removed', (lines) => lines.toSpliced(2, 6), [{ code: 'broken_link', line: 3 }]],
  [
    'an entry that was inserted',
    (lines) => lines.toSpliced(5, 0, forged(lines[4]!, { subject: 'other', seq: 6 })),
    [
      { code: 'broken_link', line: 6 },
      { code: 'broken_link', line: 7 },
    ],
  ],
  [
    'an entry that is there twice',
    (lines) => lines.toSpliced(5, 0, lines[4]!),
    [{ code: 'broken_link', line: 6 }],
  ],
  [
    'two that changed places',
    (lines) => swap(lines, 3, 6),
    [
      { code: 'broken_link', line: 4 },
      { code: 'broken_link', line: 5 },
      { code: 'broken_link', line: 7 },
      { code: 'broken_link', line: 8 },
    ],
  ],
  [
    'the first that was removed',
    (lines) => lines.slice(1),
    [
      { code: 'beginning_missing', line: 1 },
      { code: 'broken_link', line: 1 },
    ],
  ],
  ['the last that was cut off', (lines) => lines.slice(0, -1), [{ code: 'end_missing' }]],
  ['all that were cut off', () => [], [{ code: 'end_missing' }]],
  [
    'everything written anew from one on',
    (lines) => rewritten(lines, 4, () => ({ actor: 'mallory' })),
    [{ code: 'not_the_signed_one', line: 10 }],
  ],
  ['a line that is no entry', (lines) => lines.toSpliced(4, 0, 'x'), [{ code: 'not_an_entry', line: 5 }]],
  [
    'a member that is there twice',
    (lines) => lines.with(3, lines[3]!.replace('{', '{"actor":"mallory",')),
    [
      { code: 'not_an_entry', line: 4 },
      { code: 'broken_link', line: 5 },
    ],
  ],
  [
    'white space',
    (lines) => lines.with(3, ` ${lines[3]}`),
    [
      { code: 'not_an_entry', line: 4 },
      { code: 'broken_link', line: 5 },
    ],
  ],
  [
    'an entry of another chain',
    (lines) => lines.with(9, forged(lines[9]!, { chain: 'calls' })),
    [
      { code: 'broken_link', line: 10 },
      { code: 'not_the_signed_one', line: 10 },
    ],
  ],
];

test.each(DAMAGES)('%s is found, with file and line', async (_, damage, expected) => {
  using log = new Log();
  await log.write(10);
  log.edit(FIRST, damage);
  const found = await log.faults();
  expect(found.map(({ code, line }) => ({ code, ...(line !== undefined && { line }) }))).toEqual(expected);
  expect(found.map(({ file }) => file)).toEqual(found.map(() => FIRST));
});

test('every single byte that is changed is found', async () => {
  using log = new Log();
  await log.write(1);
  const whole = readFileSync(log.path(FIRST));
  for (let at = 0; at < whole.byteLength; at++) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(log.path(FIRST), changed);
    expect((await log.faults()).length, `byte ${at}`).toBeGreaterThan(0);
  }
});

test('a byte that is no UTF-8 is found, though it is read as the one that was there', async () => {
  using log = new Log();
  {
    await using chain = await log.open();
    await chain.append([{ record: record('\u{fffd}'), time: new Date() }]);
  }
  const bytes = readFileSync(log.path(FIRST));
  const at = bytes.indexOf('\u{fffd}');
  writeFileSync(
    log.path(FIRST),
    Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 3)]),
  );
  expect(await log.faults()).toMatchObject([{ code: 'not_an_entry', line: 1 }, { code: 'end_missing' }]);
});

test('what was not written to its end is no fault, in the newest file alone', async () => {
  using log = new Log();
  await log.write(9, { maxBytes: 1_000 });
  const [older, newest] = [log.files().at(-2)!, log.files().at(-1)!];
  appendFileSync(log.path(newest), '{"action":"event.dep');
  expect(await log.verify()).toMatchObject([
    { faults: [], notes: [`${newest}:4 is not written to its end`] },
  ]);
  appendFileSync(log.path(older), '{"action":"event.dep');
  expect(await log.faults()).toMatchObject([{ code: 'not_an_entry', file: older }]);
});

test('a file that was removed, and one that was put in place of another', async () => {
  using log = new Log();
  await log.write(9, { maxBytes: 1_000 });
  const [first, second, third] = log.files();
  const kept = log.read(second!);
  rmSync(log.path(second!));
  expect(await log.faults()).toMatchObject([{ code: 'broken_link', file: third, line: 1 }]);
  writeFileSync(log.path(second!), kept);
  expect(await log.faults()).toEqual([]);
  rmSync(log.path(first!));
  expect(await log.faults()).toMatchObject([{ code: 'beginning_missing', file: second, line: 1 }]);
  writeFileSync(log.path(first!), kept);
  expect((await log.faults()).map(({ code }) => code)).toContain('beginning_missing');
});

test('without its signature, with that of another key or of another chain it is not taken for whole', async () => {
  using log = new Log();
  await log.write(3);
  const checkpoint = log.read('changes.checkpoint');
  rmSync(log.path('changes.checkpoint'));
  expect(await log.faults()).toMatchObject([{ code: 'unsigned', message: 'there is no checkpoint' }]);
  writeFileSync(
    log.path('changes.checkpoint'),
    checkpoint.replace(/\.\w/, (two) => (two === '.e' ? '.f' : '.e')),
  );
  expect(await log.faults()).toMatchObject([{ code: 'unsigned' }]);
  writeFileSync(log.path('changes.checkpoint'), checkpoint);
  const other = await createSigner(new Uint8Array(32).fill(8));
  const [report] = await verifyAudit({ dir: log.dir, keySet: other.keySet });
  expect(report!.faults).toMatchObject([{ code: 'unsigned', message: expect.stringContaining('key') }]);
  {
    await using calls = await log.open({ name: 'calls' });
    await calls.append([{ record: record('x'), time: new Date() }]);
  }
  writeFileSync(log.path('calls.checkpoint'), checkpoint);
  const reports = await log.verify();
  expect(reports.find(({ chain }) => chain === 'calls')?.faults).toMatchObject([
    { code: 'unsigned', message: expect.stringContaining('chain changes') },
  ]);
});

test('a log that was put back to an earlier state, signature and all, is only found by who knew more', async () => {
  using log = new Log();
  await log.write(3);
  const before = [log.read(FIRST), log.read('changes.checkpoint')] as const;
  await log.write(3);
  const [{ head } = { head: null }] = await log.verify();
  truncateSync(log.path(FIRST), Buffer.byteLength(before[0]));
  writeFileSync(log.path('changes.checkpoint'), before[1]);
  expect(await log.faults()).toEqual([]);
  const expected = [{ chain: 'changes' as const, link: head! }];
  const [report] = await verifyAudit({ dir: log.dir, keySet: signer.keySet, expected });
  expect(report!.faults).toMatchObject([{ code: 'not_as_expected' }]);
});

test('canonical JSON is what another implementation makes of the same value', () => {
  const value = {
    z: null,
    é: 'ü\u{1f600}\u2028',
    a: ['"\\/\b\f\n\r\t\u0001\u007f', true, false, 0, -1, 4_503_599_627_370_496],
    B: { nested: {}, list: [] },
    absent: undefined,
  };
  const text = canonicalJson(value);
  const script =
    'import json,sys\nv=json.load(sys.stdin)\nsys.stdout.buffer.write(json.dumps(v,sort_keys=True,separators=(",",":"),ensure_ascii=False).encode())';
  expect(execFileSync('python3', ['-c', script], { input: JSON.stringify(value) }).toString()).toBe(text);
  expect(canonicalJson('\u{d83d}')).toBe('"\u{fffd}"');
});
