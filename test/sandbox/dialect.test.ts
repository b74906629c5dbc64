import { describe, expect, test } from 'vitest';
import type { SandboxSpec } from '../../src/core/sandbox.ts';
import { Dialect, GVISOR_OVERHEAD_BYTES } from '../../src/sandbox/dialect.ts';
import { containerOptions } from '../../src/sandbox/hardening.ts';

const MIB = 2 ** 20;
const spec: SandboxSpec = {
  runtime: 'python',
  memoryBytes: 128 * MIB,
  cpus: 1,
  pids: 64,
  tmpBytes: 8 * MIB,
  runBytes: MIB,
};
const RUNC = { name: 'runc', isNamed: false, promises: 'host', isPlain: true } as const;
const RUNSC = { name: 'runsc', isNamed: true, promises: 'gvisor', isPlain: false } as const;

function options(limitsEnabled = true) {
  const plan = { image: 'i', name: 'n', spec, uid: 50_000, instanceId: 'g', limitsEnabled, engineCpus: 2 };
  return containerOptions({ ...plan, level: 'basic', seccomp: undefined });
}

describe('on Docker', () => {
  test('with its own runtime, a container is what it is', () => {
    expect(new Dialect('docker').adapt(options(), spec, RUNC, 'host')).toEqual(options());
  });

  test('on gVisor it has room for gVisor itself, and the limit on processes inside', () => {
    const { HostConfig } = new Dialect('docker').adapt(options(), spec, RUNSC, 'gvisor');
    const memory = spec.memoryBytes + GVISOR_OVERHEAD_BYTES;
    expect(HostConfig).toMatchObject({ Runtime: 'runsc', Memory: memory, MemorySwap: memory });
    expect(HostConfig!.PidsLimit).toBeGreaterThan(spec.pids);
    expect(HostConfig!.Ulimits).toContainEqual({ Name: 'nproc', Soft: spec.pids, Hard: spec.pids });
  });

  test('on gVisor without limits, nothing is limited', () => {
    const { HostConfig } = new Dialect('docker').adapt(options(false), spec, RUNSC, 'gvisor');
    for (const member of ['Memory', 'MemorySwap', 'PidsLimit']) expect(HostConfig).not.toHaveProperty(member);
    expect(HostConfig!.Ulimits).toEqual(options(false).HostConfig!.Ulimits);
  });
});

describe('on Podman', () => {
  test('it ends at once, and has no directory to write to but those it was given', () => {
    const { HostConfig, StopTimeout } = new Dialect('podman').adapt(options(), spec, RUNC, 'host');
    expect(StopTimeout).toBe(0);
    const { Tmpfs = {} } = HostConfig!;
    expect(Object.keys(Tmpfs).sort()).toEqual(['/run', '/tmp', '/var/tmp']);
    expect(String(Tmpfs['/var/tmp']).split(',')).toContain('ro');
    for (const path of ['/tmp', '/run']) {
      const words = String(Tmpfs[path]).split(',');
      expect(words).toEqual(expect.arrayContaining(['rw', 'nosuid', 'nodev', 'U', 'notmpcopyup']));
      expect(words.filter((word) => /^[ug]id=/.test(word))).toEqual([]);
    }
  });
});

describe('what an engine refuses', () => {
  test.each([
    'OCI runtime error: error setting rlimit type 6: operation not permitted',
    'crun: setrlimit `RLIMIT_NPROC`: setting rlimits: Operation not permitted',
  ])('to set a limit by itself is given to it: %s', (message) => {
    const dialect = new Dialect('podman');
    dialect.learnFrom(new Error(message));
    const { HostConfig } = dialect.adapt(options(), spec, RUNC, 'host');
    expect(HostConfig!.Ulimits!.map(({ Name }) => Name)).toContain('nproc');
  });

  test('an init that it does not have is not asked for again', () => {
    const dialect = new Dialect('podman');
    dialect.learnFrom(
      new Error('container-init binary not found on the host: stat /usr/libexec/podman/catatonit'),
    );
    expect(dialect.adapt(options(), spec, RUNC, 'host').HostConfig).toMatchObject({ Init: false });
  });

  test('to attach before the start is done after it', () => {
    const dialect = new Dialect('podman');
    dialect.learnFrom(
      new Error('can only attach to created or running containers: container state improper'),
    );
    expect(dialect.attachesAfterStart).toBe(true);
  });

  test('is worth another try when it was new, and not for anything else', () => {
    const dialect = new Dialect('podman');
    dialect.learnFrom(new Error('no space left on device'));
    expect(dialect.learnt).toBe(0);
    dialect.learnFrom(new Error('container state improper'));
    dialect.learnFrom(new Error('container state improper'));
    expect(dialect.learnt).toBe(1);
  });
});
