import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { RUNTIMES } from '../../src/core/event.ts';
import { FIRST_SANDBOX_UID, SANDBOX_GID, SANDBOX_UIDS, Uids } from '../../src/sandbox/uids.ts';

const everyUid = Array.from({ length: SANDBOX_UIDS }, (_, index) => FIRST_SANDBOX_UID + index);
const ascending = (uids: number[]) => uids.toSorted((a, b) => a - b);

test('no two live sandboxes have the same user', () => {
  const uids = new Uids();
  const taken = everyUid.map(() => uids.take());
  expect(ascending(taken.map(({ uid }) => uid))).toEqual(everyUid);
  taken[7]!.release();
  taken[7]!.release();
  expect(uids.take().uid).toBe(taken[7]!.uid);
});

test('a user that has become free is the last to be taken again', () => {
  const uids = new Uids();
  const first = uids.take();
  first.release();
  expect(uids.take().uid).not.toBe(first.uid);
});

test('more sandboxes than users are spread evenly', () => {
  const uids = new Uids();
  const taken = [...everyUid, ...everyUid].map(() => uids.take().uid);
  expect(ascending(taken.slice(SANDBOX_UIDS))).toEqual(everyUid);
});

test.each(RUNTIMES)('the image of %s has a name for each of them', async (runtime) => {
  const dockerfile = await readFile(new URL(`../../runtimes/${runtime}/Dockerfile`, import.meta.url), 'utf8');
  expect(dockerfile).toContain(
    `seq ${everyUid[0]} ${everyUid.at(-1)} | sed 's|.*|sandbox:x:&:${SANDBOX_GID}:`,
  );
});
