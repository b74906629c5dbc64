import { describe, expect, test } from 'vitest';
import type { Runtime } from '../../src/core/event.ts';
import type { SecurityLevel } from '../../src/core/isolation.ts';
import type { SandboxSpec } from '../../src/core/sandbox.ts';
import { bubblewrapArgs, type HostFiles } from '../../src/sandbox/bubblewrap-args.ts';
import { containerOptions } from '../../src/sandbox/hardening.ts';

const spec: SandboxSpec = {
  runtime: 'python',
  memoryBytes: 512 * 2 ** 20,
  cpus: 0.5,
  pids: 64,
  tmpBytes: 100_000_000,
  runBytes: 10_000_000,
};

function options(
  over: {
    cpus?: number;
    engineCpus?: number;
    limitsEnabled?: boolean;
    level?: SecurityLevel;
    runtime?: Runtime;
  } = {},
) {
  return containerOptions({
    image: 'image:tag',
    name: 'name',
    spec: { ...spec, cpus: over.cpus ?? spec.cpus, runtime: over.runtime ?? spec.runtime },
    uid: 50_007,
    instanceId: 'gateway-1',
    limitsEnabled: over.limitsEnabled ?? true,
    engineCpus: over.engineCpus ?? 2,
    level: over.level ?? 'basic',
    seccomp: over.level === undefined ? undefined : '{}',
  });
}

describe('a container', () => {
  test('is unprivileged, read-only, without network and with nothing of the host', () => {
    const { HostConfig, ...made } = options();
    expect(made).toMatchObject({ User: '50007:50000', NetworkDisabled: true, Tty: false });
    expect(HostConfig).toMatchObject({
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      IpcMode: 'private',
      LogConfig: { Type: 'none' },
    });
    for (const member of [
      'Privileged',
      'CapAdd',
      'Binds',
      'Mounts',
      'VolumesFrom',
      'Devices',
      'PidMode',
      'UsernsMode',
    ])
      expect(HostConfig).not.toHaveProperty(member);
    expect(made).not.toHaveProperty('Env');
  });

  test('at enhanced is given a filter, and shows less of the host', () => {
    const { SecurityOpt, MaskedPaths } = options({ level: 'enhanced' }).HostConfig!;
    expect(SecurityOpt).toEqual(['no-new-privileges', 'seccomp={}']);
    expect(MaskedPaths).toEqual(expect.arrayContaining(['/proc/kcore', '/proc/kallsyms', '/sys/firmware']));
    expect(options().HostConfig).not.toHaveProperty('MaskedPaths');
  });

  test.each<[SecurityLevel, Runtime, string, string]>([
    ['basic', 'bash', 'exec', 'exec'],
    ['enhanced', 'python', 'exec', 'noexec'],
    ['enhanced', 'nodejs', 'exec', 'noexec'],
    ['enhanced', 'bash', 'noexec', 'noexec'],
    ['paranoid', 'nodejs', 'noexec', 'noexec'],
  ])('at %s, %s may start programs of: /tmp %s, /run %s', (level, runtime, ofTmp, ofRun) => {
    const { '/tmp': tmp, '/run': run } = options({ level, runtime }).HostConfig!.Tmpfs as Record<
      string,
      string
    >;
    expect([tmp!.split(',')[1], run!.split(',')[1]]).toEqual([ofTmp, ofRun]);
  });

  test('is known again as of this gateway', () => {
    expect(options().Labels).toEqual({ 'cronium.instance': 'gateway-1', 'cronium.runtime': 'python' });
  });

  test('has its limits, swap among them', () => {
    expect(options().HostConfig).toMatchObject({
      Memory: 512 * 2 ** 20,
      MemorySwap: 512 * 2 ** 20,
      NanoCpus: 5e8,
      PidsLimit: 64,
    });
  });

  test('asks for no more processors than the engine has', () => {
    expect(options({ cpus: 8, engineCpus: 2 }).HostConfig?.NanoCpus).toBe(2e9);
    expect(options({ cpus: 0.1 }).HostConfig?.NanoCpus).toBe(1e8);
  });

  test('keeps its bounds on disk and files where limits are switched off', () => {
    const { HostConfig } = options({ limitsEnabled: false });
    for (const member of ['Memory', 'MemorySwap', 'NanoCpus', 'PidsLimit'])
      expect(HostConfig).not.toHaveProperty(member);
    expect(HostConfig?.Ulimits).toContainEqual({ Name: 'nofile', Soft: 1_024, Hard: 1_024 });
  });

  test('writes to memory only, bounded, without set-user-id programs or devices', () => {
    const { Tmpfs = {} } = options().HostConfig!;
    expect(Object.keys(Tmpfs)).toEqual(['/tmp', '/run']);
    for (const [path, bytes] of [
      ['/tmp', spec.tmpBytes],
      ['/run', spec.runBytes],
    ] as const) {
      const words = String(Tmpfs[path]).split(',');
      expect(words).toEqual(expect.arrayContaining(['nosuid', 'nodev', `size=${bytes}`, 'mode=1777']));
    }
  });
});

describe('the arguments of bwrap', () => {
  const host: HostFiles = {
    system: ['/usr/bin', '/usr/lib'],
    links: { '/bin': 'usr/bin' },
    agents: '/staged/runtimes',
    node: '/staged/node',
    passwd: '/staged/passwd',
    group: '/staged/group',
    masked: ['/proc/kallsyms'],
    filter: '/staged/seccomp.bpf',
  };
  const args = (over: Partial<SandboxSpec> = {}, limitsEnabled = true) =>
    bubblewrapArgs({ ...spec, ...over }, host, limitsEnabled);
  const line = (over: Partial<SandboxSpec> = {}, limitsEnabled = true) => args(over, limitsEnabled).join(' ');

  test('unshare everything, drop every capability and die with the gateway', () => {
    for (const words of [
      '--unshare-all',
      '--die-with-parent',
      '--new-session',
      '--cap-drop ALL',
      '--clearenv',
      '--uid 1000 --gid 1000',
    ])
      expect(line()).toContain(words);
    expect(line()).not.toContain('--share-net');
  });

  test('bind nothing of the host that can be written, and nothing but what is named', () => {
    expect(args()).not.toContain('--bind');
    expect(args()).not.toContain('--dev-bind');
    const bound = args().flatMap((word, at, all) => (word === '--ro-bind' ? [all[at + 1]] : []));
    expect(bound).toEqual([
      '/usr/bin',
      '/usr/lib',
      '/staged/passwd',
      '/staged/group',
      '/staged/runtimes',
      '/dev/null',
    ]);
  });

  test('filter system calls, and hide files of /proc behind nothing', () => {
    expect(line()).toContain('--seccomp 3');
    expect(line()).toContain('--ro-bind /dev/null /proc/kallsyms');
    const unfiltered = bubblewrapArgs(spec, { ...host, filter: undefined }, true);
    expect(unfiltered).not.toContain('--seccomp');
  });

  test('bound every directory that can be written, and make the rest read-only last', () => {
    const text = line();
    for (const [path, bytes] of [
      ['/tmp', spec.tmpBytes],
      ['/run', spec.runBytes],
    ] as const)
      expect(text).toContain(`--size ${bytes} --tmpfs ${path}`);
    expect(text.indexOf('--remount-ro /')).toBeGreaterThan(text.lastIndexOf('--tmpfs'));
  });

  test('show Node.js only to what runs on it', () => {
    expect(line({ runtime: 'nodejs' })).toContain('--ro-bind /staged/node /usr/local/bin/node');
    expect(line({ runtime: 'bash' })).not.toContain('/staged/node');
  });

  test('start the agent of the language under its limits', () => {
    const [, command] = line().split(' -- /usr/bin/prlimit ');
    expect(command).toMatch(/^--core=0 --nofile=1024 --nproc=64 -- .*agent\.py --runtime python$/);
    expect(line({ runtime: 'bash' })).toMatch(/--runtime bash$/);
    expect(line({ runtime: 'nodejs' })).toMatch(/agent\.js$/);
    expect(line({}, false)).not.toContain('--nproc');
  });
});
