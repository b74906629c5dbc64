import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Runtime } from '../../src/core/event.ts';
import type { Engine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { eventuallyNone } from '../traces.ts';
import type { Attack, Ending } from './attack.ts';
import { type Answered, AttackedGateway, callUrl, type Recorded } from './gateway.ts';
import { BASH_ATTACKS } from './snippets/bash.ts';
import { NODEJS_ATTACKS } from './snippets/nodejs.ts';
import { PYTHON_ATTACKS } from './snippets/python.ts';

const ATTACKS: Readonly<Record<Runtime, Readonly<Record<string, Attack>>>> = {
  python: PYTHON_ATTACKS,
  nodejs: NODEJS_ATTACKS,
  bash: BASH_ATTACKS,
};

const GOOD: Readonly<Record<Runtime, string>> = {
  python: 'def handler(event, context): return "good"',
  nodejs: 'export const handler = () => "good";',
  bash: 'cronium output \'"good"\'',
};

const SLEEPS: Readonly<Record<Runtime, string>> = {
  python: 'import time\ntime.sleep(60)',
  nodejs: 'await new Promise((resolve) => setTimeout(resolve, 60_000));',
  bash: 'trap "" TERM HUP\nsleep 60 & wait',
};

/** Whether an attack is carried out on an engine. */
type Chooses = (runtime: Runtime, name: string) => boolean;

/**
 * What tries a sandbox: its kernel, its limits, and how its end is noticed. The other attacks are in what a function says, which the
 * gateway and the agents read the same whatever isolates it: two rungs are enough for those.
 */
const TRIES_SANDBOX: ReadonlySet<string> = new Set([
  'never returns',
  'kills itself',
  'prints 1 GB as log',
  'prints 1 GB as its response',
  'returns 1 GB',
  'returns 1 GB of bytes, in pieces',
  'forks until it may no more',
  'starts processes until it may no more',
  'starts threads until it may no more',
  'is a fork bomb',
  'eats memory',
  'eats memory in the heap',
  'eats memory outside of the heap',
  'has a child eat memory',
  'has its children eat memory',
  'fills /tmp',
  'fills every place that it can write to',
  'fills /tmp with its answer',
  'closes what it prints to',
  'closes every descriptor',
  'ignores signals and never returns',
  'leaves daemons',
  'leaves daemons that hold its output',
  'kills its agent',
  'kills every process',
  'stops its agent',
  'writes to the memory of its agent',
  'attaches to its agent as a debugger',
]);

test('what is chosen for some rungs is among the attacks', () => {
  const names = new Set(Object.values(ATTACKS).flatMap((attacks) => Object.keys(attacks)));
  expect([...TRIES_SANDBOX].filter((name) => !names.has(name))).toEqual([]);
});

/** The agents of all languages are the same on every rung, and have been tried in all of them on two; here it is the rung that is. */
const triesSandbox: Chooses = (runtime, name) =>
  TRIES_SANDBOX.has(name) && (runtime === 'python' || process.env.ATTACK_LONG === '1');

await onEngine('docker+runsc', (engine) => hostileSuite(engine, triesSandbox));
await onEngine('docker', (engine) => hostileSuite(engine, () => true));
await onEngine('podman', (engine) => hostileSuite(engine, triesSandbox));
await onEngine('bubblewrap', (engine) => hostileSuite(engine, () => true));

/** @param chooses the attacks to carry out on this engine */
function hostileSuite(engine: Engine, chooses: Chooses): void {
  let attacked: AttackedGateway;
  const good: Partial<Record<Runtime, Promise<string>>> = {};

  beforeAll(async () => {
    attacked = await AttackedGateway.start(engine);
  });
  afterAll(async () => {
    expect(await attacked.close()).toEqual([]);
  });

  /** The gateway serves, and is itself what it was. */
  async function expectUnharmed(runtime: Runtime = 'bash'): Promise<void> {
    good[runtime] ??= attacked.deploy(runtime, GOOD[runtime]);
    expect(await callUrl(await good[runtime])).toMatchObject({ status: 200, body: '"good"', cut: false });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  }

  describe.each(Object.keys(ATTACKS) as Runtime[])('%s code that', (runtime) => {
    // Of what runs side by side nothing tells whose a sandbox is; once all have ended, none may be left.
    afterAll(async () => {
      expect(await eventuallyNone(() => attacked.sandboxesLeft())).toEqual([]);
    });

    const attacks = Object.entries(ATTACKS[runtime]).filter(([name]) => chooses(runtime, name));
    test.concurrent.each(attacks)('%s', { timeout: 60_000 }, (_name, attack) => carryOut(attack));

    async function carryOut(attack: Attack): Promise<void> {
      const { code, endings, log, timeoutMs, memoryMb, env } = attack;
      const limits = {
        ...(timeoutMs && { timeoutMs }),
        ...(memoryMb && { memoryMb }),
        ...(env && { env }),
      };
      const answered = await callUrl(await attacked.deploy(runtime, code, limits));
      const record = await attacked.record(answered.invocationId);
      expect(endings.map(text)).toContain(text(endingOf(answered, record, endings)));
      if (log !== undefined) expect(record.logs).toMatch(log);
      await expectUnharmed();
    }

    test('sleeps while its caller hangs up', { timeout: 60_000 }, async () => {
      const url = await attacked.deploy(runtime, SLEEPS[runtime], { timeoutMs: 50_000 });
      const caller = new AbortController();
      const call = callUrl(url, caller.signal);
      call.catch(() => {});
      await expect.poll(() => attacked.sandboxesLeft(), { timeout: 10_000 }).not.toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 500));
      caller.abort();
      expect(await attacked.newestRecord(url)).toMatchObject({
        status: 'cancelled',
        error: { code: 'client_closed' },
      });
      expect(await eventuallyNone(() => attacked.sandboxesLeft())).toEqual([]);
      await expectUnharmed(runtime);
    });
  });
}

/** What a call came to, with the body only where an ending says what it must be. */
function endingOf(answered: Answered, record: Recorded, endings: readonly Ending[]): Ending {
  const { status, cut, body } = answered;
  const code = (cut ? record.error?.code : answered.code) as Ending['code'];
  const same = record.error?.code === code;
  return {
    status,
    ...(code !== undefined && { code: same ? code : (`${code} (recorded: ${record.error?.code})` as never) }),
    record: record.status,
    ...(cut && { cut: true as const }),
    ...(record.status === 'succeeded' && endings.some((ending) => ending.body !== undefined) && { body }),
  };
}

/** One line, so that a difference can be read. */
function text({ status, code, record, cut, body }: Ending): string {
  return [status, code ?? '', record, cut ? 'cut' : '', body === undefined ? '' : body.slice(0, 200)].join(
    ' ',
  );
}
