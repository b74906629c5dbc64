import { isAtLeast, type Kernel, type SecurityLevel } from '../core/isolation.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import type { EngineInfo } from './engine-client.ts';
import { lookFromInside } from './proof.ts';
import { IsolationRefused } from './refused.ts';

/** The profile of deploy/apparmor, which is taken from `enhanced` on where the engine's host has loaded it. */
export const OWN_PROFILE = 'cronium-sandbox';

/** What the engine's host has beside the sandboxes' own bounds, as the engine says (`SecurityOptions`). */
export interface HostConfinement {
  appArmor: boolean;
  seLinux: boolean;
  /** Root of a container is not root of the host: by `userns-remap`, or because the engine has no root itself. */
  remapsUsers: boolean;
}

export function hostConfinement({ SecurityOptions }: Pick<EngineInfo, 'SecurityOptions'>): HostConfinement {
  const names = new Set((SecurityOptions ?? []).map((option) => /^(?:name=)?(\w+)/.exec(option)?.[1]));
  return {
    appArmor: names.has('apparmor'),
    seLinux: names.has('selinux'),
    remapsUsers: names.has('userns') || names.has('rootless'),
  };
}

/** An AppArmor profile to ask the engine for. One that is demanded is had, or nothing runs. */
export interface WantedProfile {
  name: string;
  isDemanded: boolean;
}

/** AppArmor does not confine as it was demanded. */
export class NotConfined extends IsolationRefused {
  override readonly name = 'NotConfined';
}

/** The remedy where there is none to be had. */
export const WITHOUT_APPARMOR =
  'Take APPARMOR_PROFILE away, or use an engine whose docker info shows apparmor.';
const LOAD = `on the engine's host: apparmor_parser -r -W deploy/apparmor/${OWN_PROFILE}`;

/**
 * `undefined` leaves it to the engine, which takes its own where the host has AppArmor.
 * @param demanded APPARMOR_PROFILE
 * @throws NotConfined when one is demanded of a host without AppArmor
 */
export function wantedProfile(
  demanded: string | undefined,
  level: SecurityLevel,
  host: HostConfinement,
): WantedProfile | undefined {
  if (demanded !== undefined && !host.appArmor)
    throw new NotConfined(
      `APPARMOR_PROFILE=${demanded} is set, and the engine's host has no AppArmor`,
      WITHOUT_APPARMOR,
    );
  if (demanded !== undefined) return { name: demanded, isDemanded: true };
  return host.appArmor && isAtLeast(level, 'enhanced') ? { name: OWN_PROFILE, isDemanded: false } : undefined;
}

/** Looks from inside a sandbox by which profile it is confined; empty where its kernel tells of none. */
export async function confinedBy(backend: SandboxBackend): Promise<string> {
  return String(await lookFromInside(backend, LOOK));
}

const LOOK = `
def handler(event, context):
    try:
        with open("/proc/self/attr/current") as file:
            return file.read().strip("\\0\\n")
    except OSError:
        return ""
`;

/** A label is the profile's name and its mode: `cronium-sandbox (enforce)`. */
function isEnforced(label: string, name: string): boolean {
  return label === `${name} (enforce)`;
}

/**
 * @param label as it was seen in a sandbox of the wanted profile; `undefined` when the engine refused the profile
 * @throws NotConfined when a profile that is demanded is not in force
 */
export function demandProfile({ name, isDemanded }: WantedProfile, label: string | undefined): void {
  if (!isDemanded || (label !== undefined && isEnforced(label, name))) return;
  if (label === undefined)
    throw new NotConfined(
      `APPARMOR_PROFILE=${name} is set, and the engine's host has not loaded it`,
      name === OWN_PROFILE
        ? `Load it ${LOAD}`
        : `Load it on the engine's host, by apparmor_parser, or set ${OWN_PROFILE}.`,
    );
  const seen = label === '' ? 'their kernel knows of none' : `they have ${label}`;
  throw new NotConfined(
    `APPARMOR_PROFILE=${name} is set, and does not confine the sandboxes: ${seen}`,
    label === ''
      ? 'gVisor and virtual machines use none: take APPARMOR_PROFILE away.'
      : 'Load the profile so that it is enforced, by aa-enforce, or take APPARMOR_PROFILE away.',
  );
}

/**
 * What an operator should know of it, in words.
 * @param label as it was seen in a sandbox of the wanted profile; `undefined` when the engine refused the profile, or none was wanted
 */
export function confinementNotes(
  host: HostConfinement,
  kernel: Kernel,
  level: SecurityLevel,
  wanted: WantedProfile | undefined,
  label: string | undefined,
): string[] {
  const users = host.remapsUsers
    ? "users are remapped: root in a container would be nobody on the engine's host"
    : "users are not remapped (userns-remap is off): root in a container would be root on the engine's host";
  return [...accessNotes(host, kernel, level, wanted, label), users];
}

function accessNotes(
  { appArmor, seLinux }: HostConfinement,
  kernel: Kernel,
  level: SecurityLevel,
  wanted: WantedProfile | undefined,
  label: string | undefined,
): string[] {
  const selinux = seLinux ? ["SELinux confines containers, by the engine's policy"] : [];
  if (!appArmor)
    return seLinux ? selinux : ["the engine's host has neither AppArmor nor SELinux: nothing more confines"];
  if (kernel !== 'host')
    return [
      ...selinux,
      'AppArmor is on; it confines no sandbox with a kernel of its own, whose calls it does not see',
    ];
  if (wanted !== undefined && label !== undefined && isEnforced(label, wanted.name))
    return [...selinux, `AppArmor confines by the profile ${wanted.name}, as was seen from inside`];
  if (!isAtLeast(level, 'enhanced'))
    return [
      ...selinux,
      `AppArmor confines by the engine's own profile; from enhanced on by ${OWN_PROFILE}, when loaded`,
    ];
  return [
    ...selinux,
    `AppArmor confines by the engine's own profile: ${OWN_PROFILE} is not in force. Load it ${LOAD}, and start again`,
  ];
}
