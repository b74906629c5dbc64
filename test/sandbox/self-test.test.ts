import { describe, expect, test } from 'vitest';
import { RUNTIMES } from '../../src/core/event.ts';
import type { SecurityLevel } from '../../src/core/isolation.ts';
import { broken, type Check } from '../../src/core/self-test.ts';
import { merged } from '../../src/sandbox/doctor.ts';
import { CHECK_IDS, type Rung } from '../../src/sandbox/self-test/promises.ts';
import { checksOf, selfTest } from '../../src/sandbox/self-test/self-test.ts';
import { FakeBackend } from '../core/fakes.ts';
import type { Engine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

const never = new AbortController().signal;
const ALL_REACHED = Object.fromEntries(CHECK_IDS.map((id) => [id, { reached: true, seen: 'it worked' }]));
const rung = (over: Partial<Rung> = {}): Rung => ({
  level: 'basic',
  kernel: 'host',
  limitsEnabled: true,
  ...over,
});
const brokenOf = (over: Partial<Rung>) => broken(checksOf(ALL_REACHED, rung(over))).map(({ id }) => id);

describe('what is promised', () => {
  test('basic leaves out what only a filter of system calls keeps from a function', () => {
    const notPromised = CHECK_IDS.filter((id) => !brokenOf({}).includes(id));
    expect(notPromised).toEqual(['ptrace', 'user_namespace', 'seccomp']);
  });

  test.each(['enhanced', 'paranoid'] as const)('%s promises all on the kernel of the host', (level) => {
    expect(brokenOf({ level })).toEqual(CHECK_IDS);
  });

  test.each(['gvisor', 'own'] as const)(
    'on a kernel of its own (%s), what is done to that one is no harm',
    (kernel) => {
      expect(brokenOf({ level: 'paranoid', kernel })).toEqual(brokenOf({}));
    },
  );

  test('without resource limits, none is promised; those that hold all the same still are', () => {
    const left = brokenOf({}).filter((id) => !brokenOf({ limitsEnabled: false }).includes(id));
    expect(left).toEqual(['processes', 'memory']);
  });

  test('what was not tried breaks no promise, and is told', () => {
    const checks = checksOf({}, rung());
    expect(broken(checks)).toEqual([]);
    expect(checks.every(({ holds, seen }) => holds === null && seen === 'not tried')).toBe(true);
  });

  test('a remedy is given for what does not hold, and for nothing else', () => {
    const found = { ...ALL_REACHED, network: { reached: false, seen: 'ENETUNREACH' } };
    const lacking = checksOf(found, rung()).filter(({ remedy }) => remedy === undefined);
    expect(lacking.map(({ id }) => id)).toEqual(['network']);
  });
});

test('a thing holds when it does in every language, and where it does not is told', () => {
  const check = (holds: boolean | null): Check => ({
    id: 'bpf',
    what: 'no BPF',
    holds,
    promised: true,
    seen: `${holds}`,
  });
  const found = (...all: (boolean | null)[]) =>
    merged(new Map(RUNTIMES.map((runtime, at) => [runtime, [check(all[at]!)]])))[0];
  expect(found(true, null, true)).toMatchObject({ holds: true, seen: 'true' });
  expect(found(true, false, true)).toMatchObject({ holds: false, seen: `false in ${RUNTIMES[1]}` });
  expect(found(null, null, null)).toMatchObject({ holds: null });
});

test.each(['function_error', 'invalid_response'] as const)(
  'a sandbox that ends as %s, and not of memory, says nothing: its engine may have ended it',
  async (code) => {
    const backend = new FakeBackend();
    backend.auto = true;
    backend.script = async (_call, observer) => {
      observer.log(Buffer.from('found:{}\n'));
      return { status: 'failed', failure: { code, message: 'it ended' }, exit: null, droppedLogBytes: 0 };
    };
    const tested = selfTest(backend, 'python', true, never);
    await expect(tested).rejects.toThrow('the limit on memory could not be tried: it ended');
    expect(backend.alive).toEqual([]);
  },
);

const NAMES = ['docker+runsc', 'docker', 'podman', 'bubblewrap with the resource manager'] as const;
for (const name of NAMES) await onEngine(name, selfTestSuite);
/** gVisor has a kernel of its own, for which the filter changes nothing. */
const FILTERED = NAMES.slice(1);
for (const name of FILTERED) await onEngine(name, (engine) => selfTestSuite(engine, 'enhanced'));

function selfTestSuite(engine: Engine, level: SecurityLevel = 'basic'): void {
  test(`the sandboxes of every language keep what ${level} promises, and all of it was tried`, {
    timeout: 90_000,
  }, async () => {
    const open = await engine.open(undefined, level);
    try {
      for (const runtime of RUNTIMES) {
        const checks = await selfTest(open.backend, runtime, true, never);
        expect(broken(checks)).toEqual([]);
        expect(checks.map(({ id }) => id)).toEqual(CHECK_IDS);
        expect(checks.filter(({ holds }) => holds === null)).toEqual([]);
      }
    } finally {
      await open.backend.close();
    }
    expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
  });
}
