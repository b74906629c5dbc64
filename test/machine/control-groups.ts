import { mkdirSync, writeFileSync } from 'node:fs';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { BubblewrapLauncher } from '../../src/sandbox/bubblewrap.ts';
import { EATS, FORKS } from '../contract/hogs.ts';
import { engineOptions, newInstanceId } from '../engines.ts';
import { run } from './sandboxes.ts';

const SPINS = `
import time
def handler(event, context):
    begin = time.monotonic()
    while time.monotonic() - begin < 3:
        pass
    return time.process_time()
`;

/** As a service of systemd: in a group of its own, which therefore cannot be divided. */
export async function boundByControlGroups(): Promise<Record<string, unknown>> {
  const group = '/sys/fs/cgroup/system.slice/gateway.service';
  mkdirSync(group, { recursive: true });
  for (const divided of ['/sys/fs/cgroup', '/sys/fs/cgroup/system.slice'])
    writeFileSync(`${divided}/cgroup.subtree_control`, '+cpu +memory +pids');
  writeFileSync(`${group}/cgroup.procs`, String(process.pid));
  const launcher = await BubblewrapLauncher.connect(engineOptions(newInstanceId()).bubblewrap);
  const backend = new AgentBackend(launcher);
  try {
    return {
      limiter: launcher.limiter,
      memory: await run(backend, 'python', EATS),
      processes: await run(backend, 'python', FORKS),
      processorSeconds: await run(backend, 'python', SPINS, { cpus: 0.2 }),
    };
  } finally {
    await backend.close();
    writeFileSync('/sys/fs/cgroup/cgroup.procs', String(process.pid));
  }
}
