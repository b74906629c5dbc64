import { readFile } from 'node:fs/promises';
import type { Config } from '../config.ts';
import type { Runtime } from '../core/event.ts';
import type { Gateway } from '../main.ts';

const DEMO_EVENTS: readonly { name: string; runtime: Runtime; file: string }[] = [
  { name: 'hello-python', runtime: 'python', file: 'hello.py' },
  { name: 'hello-node', runtime: 'nodejs', file: 'hello.mjs' },
  { name: 'hello-bash', runtime: 'bash', file: 'hello.sh' },
];

/** Deploys the examples that are not there yet; what somebody made of them since is left as it is. */
export async function deployDemo(
  { events, audit }: Pick<Gateway, 'events' | 'audit'>,
  ownerId: string,
  config: Config,
): Promise<void> {
  for (const { name, runtime, file } of DEMO_EVENTS) {
    if ((await events.find(name)) !== undefined) continue;
    await events.create(ownerId, {
      name,
      runtime,
      code: await readFile(new URL(`../../examples/${file}`, import.meta.url), 'utf8'),
      description: 'A demo that greets its caller',
      auth: 'jwt',
      enabled: true,
      limits: {
        timeoutMs: config.DEFAULT_TIMEOUT_MS,
        memoryMb: config.DEFAULT_MEMORY_MB,
        cpus: config.DEFAULT_CPUS,
      },
      env: {},
      secrets: {},
    });
    audit?.record({ action: 'event.deploy', actor: ownerId, subject: name, outcome: 'ok' });
  }
}
