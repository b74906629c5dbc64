import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SecurityLevel } from '../../../src/core/isolation.ts';
import type { Engine, EngineName, OpenEngine } from '../../engines.ts';
import { onEngine } from '../../on-engine.ts';
import { HostBait } from './bait.ts';
import { documented, type Verdicts, write } from './table.ts';
import { tryEveryWay } from './try.ts';

/** The columns of the table, and what the suites call them. */
const COLUMNS: Readonly<Record<string, { engine: EngineName; level: SecurityLevel }>> = {
  'docker+runsc': { engine: 'docker+runsc', level: 'basic' },
  'docker+runc': { engine: 'docker', level: 'basic' },
  'docker+runc, enhanced': { engine: 'docker', level: 'enhanced' },
  'podman+runc': { engine: 'podman', level: 'basic' },
  'podman+runc, enhanced': { engine: 'podman', level: 'enhanced' },
  bubblewrap: { engine: 'bubblewrap', level: 'basic' },
  'bubblewrap, enhanced': { engine: 'bubblewrap', level: 'enhanced' },
};
const found: Verdicts = new Map();

let host: HostBait;

beforeAll(async () => {
  host = await HostBait.lay();
});
afterAll(() => host.remove());

for (const [column, { engine, level }] of Object.entries(COLUMNS))
  await onEngine(engine, (opened) => suite(column, opened, level));

function suite(column: string, engine: Engine, level: SecurityLevel): void {
  let open: OpenEngine;

  beforeAll(async () => {
    open = await engine.open(undefined, level);
  });
  afterAll(async () => {
    await open.backend.close();
    expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });

  test(`tries every way out, at level ${level}`, { timeout: 120_000 }, async () => {
    found.set(column, await tryEveryWay(open.backend, host));
    expect(host.isUntouched).toBe(true);
  });
}

describe('the table in docs/security.md', () => {
  test('says of every attack what was found', () => {
    if (process.env.UPDATE_DOCS === '1') write(found, Object.keys(COLUMNS));
    const promised = documented();
    expect([...promised.keys()]).toEqual(Object.keys(COLUMNS));
    for (const [column, verdicts] of found) {
      const cells = promised.get(column)!;
      expect([...cells.keys()].sort()).toEqual([...verdicts.keys()].sort());
      // A host that stops more than the one on which the table was made does not make it wrong.
      const broken = [...verdicts].filter(
        ([attack, { isStopped }]) => cells.get(attack)!.isStopped && !isStopped,
      );
      expect(broken, `${column}; after a look: UPDATE_DOCS=1 npx vitest run test/attack/escapes`).toEqual([]);
    }
  });
});
