import { readFileSync } from 'node:fs';
import type { SandboxBackend } from '../../../src/core/sandbox.ts';
import { MAX_OPEN_FILES } from '../../../src/sandbox/hardening.ts';
import { answerOf, callOf, runIn, smallSpec } from '../../contract/calls.ts';
import type { HostBait } from './bait.ts';
import type { Verdict } from './table.ts';

const PROBES = readFileSync(new URL('./probes.py', import.meta.url), 'utf8');

/** Tries every way out of a sandbox; by attack, what became of it. */
export async function tryEveryWay(backend: SandboxBackend, host: HostBait): Promise<Map<string, Verdict>> {
  const spec = smallSpec('python');
  const sandbox = await backend.create(spec, AbortSignal.timeout(30_000));
  try {
    const { tmpBytes, runBytes } = spec;
    const event = { ...host.seenFromInside, files: MAX_OPEN_FILES, tmpBytes, runBytes };
    const said = answerOf(await runIn(sandbox, callOf(PROBES, { event }))) as Record<string, string>;
    const verdicts = Object.entries(said).map(([attack, text]): [string, Verdict] => {
      const [, became, how = ''] = /^(stopped|open) ?(.*)$/s.exec(text) ?? [];
      if (became === undefined) throw new Error(`${attack}: ${text}`);
      return [attack, { isStopped: became === 'stopped', how }];
    });
    return new Map(verdicts);
  } finally {
    await sandbox.destroy();
  }
}
