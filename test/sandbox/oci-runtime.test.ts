import { describe, expect, test } from 'vitest';
import type { EngineInfo } from '../../src/sandbox/engine-client.ts';
import { kernelOf } from '../../src/sandbox/kernel-proof.ts';
import { chooseRuntime, type WantedRuntime } from '../../src/sandbox/oci-runtime.ts';

const RUNSC = { path: '/usr/local/bin/runsc' };
const RUNC = { path: 'runc' };

function docker(Runtimes: EngineInfo['Runtimes'], DefaultRuntime = 'runc') {
  return { kind: 'docker', info: { NCPU: 2, DefaultRuntime, ...(Runtimes && { Runtimes }) } } as const;
}

function podman(DefaultRuntime: string) {
  // Podman lists what it has heard of, whether it is installed or not.
  const Runtimes = { crun: { path: '/usr/bin/crun' }, runc: { path: '/usr/bin/runc' }, runsc: RUNSC };
  return { kind: 'podman', info: { NCPU: 2, DefaultRuntime, Runtimes } } as const;
}

describe('gVisor among the runtimes of Docker', () => {
  test.each([
    ['by its name', { runc: RUNC, runsc: { path: '/opt/anything' } }, 'runsc'],
    ['by its other name', { runc: RUNC, gvisor: { path: '/opt/anything' } }, 'gvisor'],
    ['by its program', { runc: RUNC, 'strong-one': RUNSC }, 'strong-one'],
    ['by its shim', { runc: RUNC, strong: { runtimeType: 'io.containerd.runsc.v1' } }, 'strong'],
    ['the usual name first', { 'runsc-debug': RUNSC, runsc: RUNSC }, 'runsc'],
  ])('is found %s', (_, runtimes, name) => {
    expect(chooseRuntime(docker(runtimes), 'gvisor')).toEqual({
      name,
      isNamed: true,
      promises: 'gvisor',
      isPlain: false,
    });
  });

  test.each([[{ runc: RUNC, crun: { path: '/usr/bin/crun-runsc-like' } }], [undefined]])(
    'is not found in %j',
    (runtimes) => {
      expect(() => chooseRuntime(docker(runtimes), 'gvisor')).toThrow(
        expect.objectContaining({
          message: 'the engine has no gVisor among its runtimes',
          remedy: expect.stringContaining('runsc install'),
        }),
      );
    },
  );
});

describe('the runtime of Docker', () => {
  test.each<[string, WantedRuntime, string, boolean, boolean]>([
    ["is the engine's own, as it is", 'default', 'runc', false, true],
    ["is the engine's own, by its name", { name: 'runc' }, 'runc', false, true],
    ['is another, to be looked at', { name: 'crun' }, 'crun', true, false],
    ['is a shim that is not listed', { name: 'io.containerd.kata.v2' }, 'io.containerd.kata.v2', true, false],
  ])('%s', (_, wanted, name, isNamed, isPlain) => {
    const engine = docker({ runc: RUNC, crun: { path: 'crun' } });
    expect(chooseRuntime(engine, wanted)).toEqual({ name, isNamed, promises: 'host', isPlain });
  });

  test('that is gVisor by default has to be proved', () => {
    const engine = docker({ runsc: RUNSC }, 'runsc');
    const expected = { name: 'runsc', isNamed: false, promises: 'gvisor', isPlain: false };
    expect(chooseRuntime(engine, 'gvisor')).toEqual(expected);
    expect(chooseRuntime(engine, 'default')).toEqual(expected);
  });

  test('is runc where the default says that it is gVisor: that was tried before', () => {
    const engine = docker({ runc: RUNC, runsc: RUNSC }, 'runsc');
    expect(chooseRuntime(engine, 'default')).toMatchObject({ name: 'runc', isNamed: true });
  });

  test('that there is not is refused, with those that there are', () => {
    expect(() => chooseRuntime(docker({ runc: RUNC, runsc: RUNSC }), { name: 'kata' })).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('runc, runsc') }),
    );
  });
});

describe('the runtime of Podman', () => {
  test("is the service's own, whatever it lists", () => {
    expect(chooseRuntime(podman('crun'), 'default')).toMatchObject({ name: 'crun', isPlain: true });
    expect(chooseRuntime(podman('/usr/bin/crun'), { name: 'crun' })).toMatchObject({ isPlain: true });
    expect(chooseRuntime(podman('runsc'), 'gvisor')).toMatchObject({ promises: 'gvisor', isNamed: false });
  });

  test.each<[WantedRuntime, string]>([
    ['gvisor', 'runtime = "runsc"'],
    [{ name: 'runc' }, 'runtime = "runc"'],
  ])('is not %j, which only its configuration can give', (wanted, remedy) => {
    expect(() => chooseRuntime(podman('crun'), wanted)).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining(remedy) }),
    );
  });
});

describe('the kernel of a sandbox', () => {
  const GVISOR = '<6>[   0.000000] Starting gVisor...\n<6>[   0.354495] Digging up root...\n';

  test.each([
    ["is gVisor's where its log says so", '4.4.0', GVISOR, '6.1.0-18-amd64', 'gvisor'],
    ["is the engine's where the version is, whatever the log says", '4.4.0', GVISOR, '4.4.0', 'host'],
    ["is the engine's where no log can be read", '6.1.0', '', '6.1.0', 'host'],
    ['is its own where the version is another', '6.12.8-kata', '', '6.1.0', 'own'],
    ['is no gVisor for a log that quotes one', '5.4.0', 'audit: [ 0.1] Starting gVisor', '6.1.0', 'own'],
    ["is taken for the engine's where that is not known", '4.4.0', GVISOR, undefined, 'host'],
  ] as const)('%s', (_, release, log, engineKernel, kernel) => {
    expect(kernelOf({ release, log }, engineKernel)).toBe(kernel);
  });
});
