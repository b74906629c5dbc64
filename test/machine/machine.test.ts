import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { documented } from '../attack/escapes/table.ts';
import { ROOT } from '../e2e/processes.ts';
import { findEngine } from '../engines.ts';
import { suiteWhere } from '../suite-where.ts';
import type { Found } from './inside.ts';
import type { Attacked, Confined, Connected } from './sandboxes.ts';

/** Emulated, it takes ten times what it takes with KVM. */
const MACHINE_TIMEOUT_MS = 420_000;
const OWN = 'cronium-sandbox (enforce)';
const LOAD = 'apparmor_parser -r -W deploy/apparmor/cronium-sandbox';
const IN_FORCE = 'AppArmor confines by the profile cronium-sandbox, as was seen from inside';

// Whatever of AppArmor and of version 2 of control groups this machine's kernel may lack, the one of .ci/machine has. All of it is
// done in one boot, by inside.ts: here is what must have come of it.
suiteWhere('in a virtual machine', await missing(), () => {
  let dir: string;
  let found: Record<string, Found>;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'machine-'));
    const file = join(dir, 'found.json');
    const inside = [process.execPath, join(ROOT, 'test/machine/inside.ts'), file];
    const machine = spawn(join(ROOT, '.ci/machine'), ['run', '--engines', '--share', dir, '--', ...inside], {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: MACHINE_TIMEOUT_MS - 10_000,
    });
    const [status] = await once(machine, 'exit');
    expect(status).toBe(0);
    found = JSON.parse(readFileSync(file, 'utf8'));
  }, MACHINE_TIMEOUT_MS);
  afterAll(() => rmSync(dir, { recursive: true }));

  /** @throws what kept the step from seeing anything */
  function seen<T>(step: string): T {
    const { error, seen } = found[step]!;
    if (error !== undefined) throw new Error(`${step}: ${error.message}`);
    return seen as T;
  }

  describe('AppArmor', () => {
    test("is the engine's own profile, and an operator is told how to load the other", () => {
      const { python, notes } = seen<Confined>('docker, not loaded');
      // The page of its own memory is written, which no other bound forbids.
      expect(python).toEqual(['docker-default (enforce)', 'after!']);
      expect(notes).toContainEqual(expect.stringContaining('cronium-sandbox is not in force'));
    });

    test('that is demanded and not loaded lets nothing start, with the remedy', () => {
      expect(found['docker, not loaded and demanded']!.error).toEqual({
        message: "APPARMOR_PROFILE=cronium-sandbox is set, and the engine's host has not loaded it",
        remedy: `Load it on the engine's host: ${LOAD}`,
      });
      expect(found['podman, not loaded and demanded']!.error).toEqual({
        message: "APPARMOR_PROFILE=no-such-profile is set, and the engine's host has not loaded it",
        remedy: "Load it on the engine's host, by apparmor_parser, or set cronium-sandbox.",
      });
    });

    test('is the own profile in every language, once the remedy is pasted, through the socket proxy, too', () => {
      expect(seen('remedy')).toBe(LOAD);
      const { python, nodejs, bash, notes, denied } = seen<Attacked>('docker, loaded');
      expect([python, nodejs, bash]).toEqual([[OWN, 'EACCES'], OWN, OWN]);
      expect(notes).toContain(IN_FORCE);
      expect(denied).toEqual([]);
    });

    test('lets nothing out that is stopped without it', () => {
      const { verdicts, isUntouched } = seen<Attacked>('docker, loaded');
      expect(isUntouched).toBe(true);
      const promised = documented().get('docker+runc, enhanced')!;
      expect(Object.keys(verdicts).sort()).toEqual([...promised.keys()].sort());
      const open = Object.keys(verdicts).filter((attack) => !verdicts[attack]!.isStopped);
      expect(open.filter((attack) => promised.get(attack)!.isStopped)).toEqual([]);
    });

    test.each(['docker', 'podman'])('that is demanded of %s is in force at basic, too', (engine) => {
      expect(seen<Confined>(`${engine}, demanded at basic`).notes).toContain(IN_FORCE);
    });

    test('confines the sandboxes of Podman', () => {
      const { python, notes } = seen<Confined>('podman, loaded');
      expect(python).toEqual([OWN, 'EACCES']);
      expect(notes).toContain(IN_FORCE);
    });

    test('keeps root with every capability from the host, alone', () => {
      const deeds = ['mount', 'raw', 'packet', 'chown', 'write', 'sysctl'];
      const each = (became: string) => Object.fromEntries(deeds.map((deed) => [deed, became]));
      expect(seen('docker: the profile alone')).toEqual({
        'cronium-sandbox': { ...each('EACCES'), tmp: 'done' },
        unconfined: { ...each('done'), tmp: 'done' },
      });
    });

    test('confines no sandbox with a kernel of its own, and an operator is told', () => {
      const { kernel, notes } = seen<Connected>('gvisor at paranoid');
      expect(kernel).toBe('gvisor');
      expect(notes).toContainEqual(
        expect.stringContaining('it confines no sandbox with a kernel of its own'),
      );
    });
  });

  describe('version 2 of control groups', () => {
    test('bounds bubblewrap, in a service of systemd, too', () => {
      const { limiter, memory, processes, processorSeconds } =
        seen<Record<string, unknown>>('bubblewrap in a service');
      expect(limiter).toBe('cgroup-v2');
      expect(memory).toBe('out_of_memory');
      expect(processes).toEqual([expect.any(Number), 'EAGAIN']);
      // A fifth of three seconds, and what comes before them.
      expect(processorSeconds).toBeGreaterThan(0.3);
      expect(processorSeconds).toBeLessThan(1.5);
    });

    test.each(['docker', 'podman'])('bounds the memory of %s', (engine) => {
      expect(seen<{ memory: unknown }>(`${engine}, demanded at basic`).memory).toBe('out_of_memory');
    });
  });
});

/** Why there can be no machine here: what it takes is installed by `.ci/machine install`, and its images are the engine's. */
async function missing(): Promise<string | undefined> {
  const { status, stderr } = spawnSync(join(ROOT, '.ci/machine'), ['check'], { encoding: 'utf8' });
  return status === 0 ? (await findEngine('docker')).unavailable : stderr.trim();
}
