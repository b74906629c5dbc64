/**
 * Whose kernel answers a function's system calls: that of the engine's `host`, which the sandboxes share; `gvisor`'s, a user-space
 * kernel of each sandbox; or one of its `own`, in a virtual machine.
 */
export type Kernel = 'host' | 'gvisor' | 'own';

/** How much a sandbox must keep from whoever is in it, least first; docs/isolation.md says what each of them demands. */
export const SECURITY_LEVELS = ['basic', 'enhanced', 'paranoid'] as const;
export type SecurityLevel = (typeof SECURITY_LEVELS)[number];

/** What an event may demand of what runs it: a level or a higher one, or a kernel of each sandbox's own, whatever the level. */
export const MIN_ISOLATIONS = [...SECURITY_LEVELS, 'gvisor'] as const;
export type MinIsolation = (typeof MIN_ISOLATIONS)[number];

/** What a gateway gives to every function, as it was found out. */
export interface IsolationGrade {
  readonly isolation: string;
  readonly kernel: Kernel;
  readonly level: SecurityLevel;
}

/** Whether a level is this one or higher. */
export function isAtLeast(level: SecurityLevel, wanted: SecurityLevel): boolean {
  return SECURITY_LEVELS.indexOf(level) >= SECURITY_LEVELS.indexOf(wanted);
}

/** Whether a demand is met; an event without one takes what there is. */
export function meets(
  { kernel, level }: Omit<IsolationGrade, 'isolation'>,
  wanted: MinIsolation | undefined,
): boolean {
  if (wanted === undefined) return true;
  return wanted === 'gvisor' ? kernel !== 'host' : isAtLeast(level, wanted);
}
