import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  confinementNotes,
  demandProfile,
  hostConfinement,
  OWN_PROFILE,
  wantedProfile,
} from '../../src/sandbox/confinement.ts';
import { Dialect } from '../../src/sandbox/dialect.ts';
import { ROOT } from '../e2e/processes.ts';

/** What engines say of themselves (`SecurityOptions` of /info): Debian's as it was read, the others as their documentation has it. */
const INFOS = {
  debian: ['name=seccomp,profile=default'],
  ubuntu: ['name=apparmor', 'name=seccomp,profile=builtin', 'name=cgroupns'],
  fedora: ['name=seccomp,profile=default', 'name=selinux', 'name=cgroupns'],
  remapped: ['name=apparmor', 'name=seccomp,profile=default', 'name=userns'],
  rootlessPodman: ['name=seccomp,profile=default', 'name=rootless', 'name=selinux'],
};
const hostOf = (name: keyof typeof INFOS) => hostConfinement({ SecurityOptions: INFOS[name] });

test.each<[keyof typeof INFOS, boolean, boolean, boolean]>([
  ['debian', false, false, false],
  ['ubuntu', true, false, false],
  ['fedora', false, true, false],
  ['remapped', true, false, true],
  ['rootlessPodman', false, true, true],
])('of %s: AppArmor %s, SELinux %s, other users %s', (name, appArmor, seLinux, remapsUsers) => {
  expect(hostOf(name)).toEqual({ appArmor, seLinux, remapsUsers });
});

test('an engine that does not say confines by nothing', () => {
  expect(hostConfinement({})).toEqual({ appArmor: false, seLinux: false, remapsUsers: false });
});

describe('an AppArmor profile', () => {
  test('is asked for from enhanced on, where the host has AppArmor', () => {
    expect(wantedProfile(undefined, 'basic', hostOf('ubuntu'))).toBeUndefined();
    for (const level of ['enhanced', 'paranoid'] as const) {
      expect(wantedProfile(undefined, level, hostOf('ubuntu'))).toEqual({
        name: OWN_PROFILE,
        isDemanded: false,
      });
      expect(wantedProfile(undefined, level, hostOf('fedora'))).toBeUndefined();
    }
  });

  test('that is demanded is had at every level, or nothing runs', () => {
    const mine = wantedProfile('mine', 'basic', hostOf('ubuntu'))!;
    expect(mine).toEqual({ name: 'mine', isDemanded: true });
    expect(() => wantedProfile('mine', 'basic', hostOf('debian'))).toThrow(/has no AppArmor/);
    demandProfile(mine, 'mine (enforce)');
    for (const label of ['', 'mine (complain)', 'docker-default (enforce)', 'mine-too (enforce)'])
      expect(() => demandProfile(mine, label)).toThrow(/APPARMOR_PROFILE=mine is set, and does not confine/);
    expect(() => demandProfile(mine, undefined)).toThrow(
      "APPARMOR_PROFILE=mine is set, and the engine's host has not loaded it",
    );
    for (const label of ['docker-default (enforce)', undefined])
      demandProfile({ name: OWN_PROFILE, isDemanded: false }, label);
  });

  test.each([
    'OCI runtime create failed: container_linux.go:380: apparmor failed to apply profile: write /proc/self/attr/exec: no such file or directory: unknown',
    'runc create failed: unable to start container process: error during container init: unable to apply apparmor profile: apparmor failed to apply profile: write fsmount:fscontext:proc/thread-self/attr/apparmor/exec: no such file or directory',
    'AppArmor profile "cronium-sandbox" specified but not loaded',
  ])('is done without where the engine refuses it so: %s', (refusal) => {
    const dialect = new Dialect('docker');
    expect(dialect.lacksAppArmorProfile).toBe(false);
    dialect.learnFrom(new Error(refusal));
    expect(dialect.lacksAppArmorProfile).toBe(true);
  });
});

describe('an operator is told', () => {
  const wanted = { name: OWN_PROFILE, isDemanded: false };

  test('what confines beside the sandbox’s own bounds', () => {
    const notes = confinementNotes(hostOf('ubuntu'), 'host', 'enhanced', wanted, `${OWN_PROFILE} (enforce)`);
    expect(notes).toEqual([
      expect.stringContaining(`AppArmor confines by the profile ${OWN_PROFILE}`),
      expect.stringContaining('users are not remapped'),
    ]);
  });

  test('how to load a profile that is not loaded', () => {
    for (const label of [undefined, `${OWN_PROFILE} (complain)`])
      expect(confinementNotes(hostOf('remapped'), 'host', 'enhanced', wanted, label)).toEqual([
        expect.stringContaining(`apparmor_parser -r -W deploy/apparmor/${OWN_PROFILE}`),
        expect.stringContaining('users are remapped'),
      ]);
  });

  test('that gVisor is confined by none, and that there may be none', () => {
    const [onGvisor] = confinementNotes(hostOf('ubuntu'), 'gvisor', 'paranoid', wanted, undefined);
    expect(onGvisor).toContain('confines no sandbox with a kernel of its own');
    const [none] = confinementNotes(hostOf('debian'), 'host', 'basic', undefined, undefined);
    expect(none).toContain('neither AppArmor nor SELinux');
    const [seLinux] = confinementNotes(hostOf('fedora'), 'host', 'enhanced', undefined, undefined);
    expect(seLinux).toContain('SELinux confines');
  });
});

const PARSER = '/usr/sbin/apparmor_parser';
test.skipIf(!existsSync(PARSER) && !process.env.CI)('the profile that is shipped can be loaded', () => {
  const path = `${ROOT}deploy/apparmor/${OWN_PROFILE}`;
  const parse = (...args: string[]) => execFileSync(PARSER, [...args, path], { stdio: 'pipe' }).toString();
  expect(parse('--names').trim()).toBe(OWN_PROFILE);
  // Compiled whole, and not given to the kernel.
  parse('--skip-kernel-load', '--skip-cache');
});
