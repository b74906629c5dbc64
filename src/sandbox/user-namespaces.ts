import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IsolationRefused } from './refused.ts';

interface Setting {
  name: string;
  isOff: (value: number) => boolean;
  remedy: string;
}

/** What keeps processes without privileges from namespaces of their own, by the kernel or the distribution that has it. */
const SETTINGS: readonly Setting[] = [
  {
    name: 'user.max_user_namespaces',
    isOff: (value) => value === 0,
    remedy: 'sysctl -w user.max_user_namespaces=10000',
  },
  {
    name: 'kernel.unprivileged_userns_clone',
    isOff: (value) => value === 0,
    remedy: 'sysctl -w kernel.unprivileged_userns_clone=1',
  },
  {
    name: 'kernel.apparmor_restrict_unprivileged_userns',
    isOff: (value) => value !== 0,
    remedy:
      'let bwrap alone have them by an AppArmor profile, as the package apparmor-profiles has one (bwrap-userns-restrict), or everybody: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
  },
];
const ELSEWHERE =
  "The kernel's settings allow user namespaces here: look at what this gateway itself runs under. The seccomp and AppArmor profiles of a container forbid them, and so does RestrictNamespaces= of a systemd unit.";

/**
 * Why bwrap cannot make a sandbox, by what it said and what the kernel is set to.
 * @param proc where the kernel's settings are
 */
export function noSandboxHere(said: string, proc = '/proc'): IsolationRefused {
  const off = SETTINGS.flatMap(({ name, isOff, remedy }) => {
    const value = settingOf(join(proc, 'sys', name.replaceAll('.', '/')));
    return value !== undefined && isOff(value) ? [{ shown: `${name} is ${value}`, remedy }] : [];
  });
  const message = `bwrap cannot make a sandbox here: ${said}`;
  if (off.length === 0) return new IsolationRefused(message, ELSEWHERE);
  const shown = off.map((each) => each.shown).join(' and ');
  const remedies = off.map((each) => each.remedy).join('; and ');
  return new IsolationRefused(
    `${message} (${shown})`,
    `Allow user namespaces, as root: ${remedies}. In a file of /etc/sysctl.d a setting lasts.`,
  );
}

/** `undefined` where the kernel has no such setting. */
function settingOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
