import { z } from 'zod';
import { OWNER_LABEL, RUNTIME_LABEL } from '../sandbox/hardening.ts';

/** Masked by engines unless somebody says otherwise; who says otherwise must mask these too. */
const MUST_BE_MASKED = ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'];
const MAX_MEMORY_BYTES = 2 ** 40;
const size = z.int().min(0).max(MAX_MEMORY_BYTES);
const tmpfs = z
  .string()
  .regex(/^rw,(no)?exec,nosuid,nodev,size=\d{1,13},mode=1777,uid=[1-9]\d*,gid=[1-9]\d*$/);

/** What may stand in place of the engine's own. */
export interface AllowedProfiles {
  seccomp: ReadonlySet<string>;
  /** By its name. */
  appArmor: string;
}

/** What must hold for `SecurityOpt`: never weaker than the engine's own. */
function securityOptFault(
  options: readonly string[],
  { seccomp, appArmor }: AllowedProfiles,
): string | undefined {
  if (!options.includes('no-new-privileges')) return 'must have no-new-privileges';
  const isKnown = (option: string) =>
    option === 'no-new-privileges' ||
    option === `apparmor=${appArmor}` ||
    (option.startsWith('seccomp=') && seccomp.has(option.slice('seccomp='.length)));
  const unknown = options.find((option) => !isKnown(option));
  return unknown === undefined ? undefined : `${unknown.slice(0, 40)} is not allowed`;
}

/**
 * The one kind of container that a gateway makes. Everything that is not named here is refused: privileges, devices, mounts,
 * networks, namespaces of others, capabilities, and whatever engines invent next.
 */
export function sandboxContainerSchema(profiles: AllowedProfiles) {
  const securityOpt = z.array(z.string()).superRefine((options, context) => {
    const message = securityOptFault(options, profiles);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
  return z.strictObject({
    Image: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be the id of an image'),
    // A number: a name may be root's in some image.
    User: z.string().regex(/^[1-9]\d{0,9}:[1-9]\d{0,9}$/, 'must be numbers, and not of root'),
    WorkingDir: z.literal('/tmp'),
    Labels: z.strictObject({
      [OWNER_LABEL]: z.string().regex(/^[\w-]{1,64}$/),
      [RUNTIME_LABEL]: z.string().regex(/^[a-z]{1,32}$/),
    }),
    Tty: z.literal(false),
    OpenStdin: z.literal(true),
    StdinOnce: z.literal(true),
    AttachStdin: z.literal(true),
    AttachStdout: z.literal(true),
    AttachStderr: z.literal(true),
    NetworkDisabled: z.literal(true),
    HostConfig: z.strictObject({
      NetworkMode: z.literal('none'),
      ReadonlyRootfs: z.literal(true),
      CapDrop: z.tuple([z.literal('ALL')]),
      SecurityOpt: securityOpt,
      Init: z.boolean(),
      IpcMode: z.literal('private'),
      ShmSize: size,
      Tmpfs: z.strictObject({ '/tmp': tmpfs, '/run': tmpfs }),
      LogConfig: z.strictObject({ Type: z.literal('none'), Config: z.strictObject({}) }),
      Ulimits: z.array(z.strictObject({ Name: z.enum(['nofile', 'core', 'nproc']), Soft: size, Hard: size })),
      MaskedPaths: z
        .array(z.string().regex(/^\/(proc|sys)\//))
        .refine((paths) => MUST_BE_MASKED.every((path) => paths.includes(path)), {
          error: `must have ${MUST_BE_MASKED.join(', ')}`,
        })
        .optional(),
      Runtime: z
        .string()
        .regex(/^[\w.-]{1,64}$/)
        .optional(),
      Memory: size.optional(),
      MemorySwap: size.optional(),
      NanoCpus: size.optional(),
      PidsLimit: size.min(1).optional(),
    }),
  });
}

export const CONTAINER_NAME = /^cronium-[a-z0-9-]{1,80}$/;
