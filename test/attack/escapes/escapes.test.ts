import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SecurityLevel } from '../../../src/core/isolation.ts';
import { MAX_OPEN_FILES } from '../../../src/sandbox/hardening.ts';
import { answerOf, callOf, runIn, smallSpec } from '../../contract/calls.ts';
import type { Engine, EngineName, OpenEngine } from '../../engines.ts';
import { onEngine } from '../../on-engine.ts';
import { documented, type Verdict, type Verdicts, write } from './table.ts';

const PROBES = readFileSync(new URL('./probes.py', import.meta.url), 'utf8');
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

/** What an attacker would like to find: on the host, and in no sandbox. */
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
    const spec = smallSpec('python');
    const sandbox = await open.backend.create(spec, AbortSignal.timeout(30_000));
    try {
      const { tmpBytes, runBytes } = spec;
      const event = { ...host.seenFromInside, files: MAX_OPEN_FILES, tmpBytes, runBytes };
      const said = answerOf(await runIn(sandbox, callOf(PROBES, { event }))) as Record<string, string>;
      const verdicts = Object.entries(said).map(([attack, text]): [string, Verdict] => {
        const [, became, how = ''] = /^(stopped|open) ?(.*)$/s.exec(text) ?? [];
        if (became === undefined) throw new Error(`${attack}: ${text}`);
        return [attack, { isStopped: became === 'stopped', how }];
      });
      found.set(column, new Map(verdicts));
    } finally {
      await sandbox.destroy();
    }
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

class HostBait {
  readonly #directory: string;
  readonly #victim: ChildProcess;
  readonly #servers: Server[];
  readonly #mark: string;
  readonly #port: number;

  private constructor(directory: string, victim: ChildProcess, servers: Server[], mark: string) {
    this.#directory = directory;
    this.#victim = victim;
    this.#servers = servers;
    this.#mark = mark;
    this.#port = (servers[0]!.address() as AddressInfo).port;
  }

  static async lay(): Promise<HostBait> {
    const mark = `bait${randomBytes(8).toString('hex')}`;
    const directory = mkdtempSync(join(tmpdir(), 'bait-'));
    writeFileSync(join(directory, mark), mark, { mode: 0o644 });
    const victim = spawn('sleep', ['1000'], { env: { PATH: process.env.PATH, MARK: mark }, stdio: 'ignore' });
    await once(victim, 'spawn');
    const servers = [createServer(), createServer()];
    await Promise.all([
      new Promise<void>((resolve) => servers[0]!.listen(0, '0.0.0.0', resolve)),
      new Promise<void>((resolve) => servers[1]!.listen(`\0${mark}`, resolve)),
    ]);
    return new HostBait(directory, victim, servers, mark);
  }

  /** What the attacker is told, with the mark backwards where finding it is the point. */
  get seenFromInside() {
    return {
      hostPort: this.#port,
      hostSocket: this.#mark,
      hostFile: join(this.#directory, this.#mark),
      hostMark: [...this.#mark].reverse().join(''),
      hostPid: this.#victim.pid,
    };
  }

  get isUntouched(): boolean {
    return this.#victim.exitCode === null && this.#victim.signalCode === null;
  }

  async remove(): Promise<void> {
    this.#victim.kill('SIGKILL');
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
    rmSync(this.#directory, { recursive: true });
  }
}
