import { type Comparison, EPERM, type SeccompProfile } from './profile.ts';

/** An OCI runtime's comparison of an argument (OCI runtime specification, "Seccomp"). */
interface OciArgument {
  index: number;
  op: 'SCMP_CMP_EQ' | 'SCMP_CMP_LE' | 'SCMP_CMP_MASKED_EQ';
  /** The mask where there is one. */
  value: number;
  /** What is left under the mask. */
  valueTwo?: number;
}

/** The profile as Docker and Podman read it. Names that their library does not know it leaves out, so they stay refused. */
export function ociProfile({ allowed, conditional, refusedWith }: SeccompProfile) {
  const rules = [
    { names: allowed, action: 'SCMP_ACT_ALLOW' },
    ...Object.entries(conditional).flatMap(([name, alternatives]) =>
      alternatives.map((all) => ({ names: [name], action: 'SCMP_ACT_ALLOW', args: all.map(ociArgument) })),
    ),
    ...Object.entries(refusedWith).map(([name, errno]) => ({
      names: [name],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: errno,
    })),
  ];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    archMap: [
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
    ],
    syscalls: rules,
  };
}

/** The same as engines take it in words. */
export function ociProfileText(profile: SeccompProfile): string {
  return JSON.stringify(ociProfile(profile));
}

function ociArgument(comparison: Comparison): OciArgument {
  const { arg: index } = comparison;
  if ('atMost' in comparison) return { index, op: 'SCMP_CMP_LE', value: comparison.atMost };
  const { is, mask } = comparison;
  return mask === undefined
    ? { index, op: 'SCMP_CMP_EQ', value: is }
    : { index, op: 'SCMP_CMP_MASKED_EQ', value: mask, valueTwo: is };
}
