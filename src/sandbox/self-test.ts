import { z } from 'zod';
import type { SandboxBackend, SandboxSpec } from '../core/sandbox.ts';
import { runOnce } from './trial.ts';

/** One thing that a sandbox must keep from whoever is in it, as it was found to be. */
export interface Check {
  what: string;
  holds: boolean;
  seen: string;
  remedy?: string;
}

/** Looks around from inside, and reports. Sends nothing anywhere: without a route there is nowhere to send it. */
const LOOK_AROUND = `
import os, errno

def status(name):
    with open("/proc/self/status") as lines:
        return next((l.split()[1] for l in lines if l.startswith(name + ":")), "")

def writable(paths):
    found = []
    for path in paths:
        try:
            with open(os.path.join(path, ".probe"), "w"):
                pass
            found.append(path)
        except OSError:
            pass
    return found

def interfaces():
    with open("/proc/net/dev") as lines:
        return sorted(l.split(":")[0].strip() for l in lines if ":" in l)

def routes():
    try:
        with open("/proc/net/route") as lines:
            return max(0, sum(1 for _ in lines) - 1)
    except OSError:
        return 0

def processes(limit):
    children, reason = [], "none"
    try:
        while len(children) < limit + 64:
            pid = os.fork()
            if pid == 0:
                import time
                time.sleep(60)
                os._exit(0)
            children.append(pid)
    except OSError as error:
        reason = errno.errorcode[error.errno]
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return {"forked": len(children), "refused": reason}

def tmp(limit):
    written = 0
    try:
        with open("/tmp/.fill", "wb", buffering=0) as file:
            while written < limit * 2:
                written += file.write(b"x" * 65536)
    except OSError:
        pass
    finally:
        try:
            os.unlink("/tmp/.fill")
        except OSError:
            pass
    return written

def handler(event, context):
    return {
        "uid": os.getuid(),
        "capabilities": status("CapEff"),
        "noNewPrivileges": status("NoNewPrivs"),
        "seccomp": status("Seccomp"),
        "interfaces": interfaces(),
        "routes": routes(),
        "writable": writable(["/", "/usr", "/etc", "/opt/cronium", "/var", "/home", "/dev", "/proc/sys/kernel", "/sys"]),
        "visible": [p for p in ["/root", "/home", "/var/run/docker.sock", "/run/docker.sock", "/etc/shadow"] if os.access(p, os.R_OK) and (os.path.isfile(p) or not os.path.isdir(p) or os.listdir(p))],
        "processes": processes(event["pids"]),
        "tmpBytes": tmp(event["tmpBytes"]),
    }
`;

const EAT_MEMORY = `
def handler(event, context):
    kept = []
    while sum(map(len, kept)) < event["bytes"]:
        kept.append(bytearray(b"x") * (4 << 20))
    return "survived"
`;

const report = z.object({
  uid: z.number(),
  capabilities: z.string(),
  noNewPrivileges: z.string(),
  seccomp: z.string(),
  interfaces: z.array(z.string()),
  routes: z.number(),
  writable: z.array(z.string()),
  visible: z.array(z.string()),
  processes: z.object({ forked: z.number(), refused: z.string() }),
  tmpBytes: z.number(),
});

/**
 * Boots sandboxes as functions get them and tries from inside what must not work.
 * @throws GatewayError when no sandbox boots
 */
export async function selfTest(backend: SandboxBackend, spec: SandboxSpec): Promise<Check[]> {
  const beganAt = performance.now();
  const outcome = await runOnce(backend, spec, LOOK_AROUND, { pids: spec.pids, tmpBytes: spec.tmpBytes });
  const tookMs = Math.round(performance.now() - beganAt);
  if (outcome.status === 'failed' || outcome.result === undefined) {
    const seen = outcome.status === 'failed' ? outcome.failure.message : 'it gave no answer';
    return [{ what: 'runs a function', holds: false, seen }];
  }
  const found = report.parse(outcome.result.value);
  const eaten = await runOnce(backend, spec, EAT_MEMORY, { bytes: spec.memoryBytes * 2 });
  return [
    { what: 'runs a function', holds: true, seen: `booted and answered in ${tookMs} ms` },
    { what: 'unprivileged user', holds: found.uid !== 0, seen: `uid ${found.uid}` },
    { what: 'no capabilities', holds: /^0+$/.test(found.capabilities), seen: `CapEff ${found.capabilities}` },
    {
      what: 'no new privileges',
      holds: found.noNewPrivileges === '1',
      seen: `NoNewPrivs ${found.noNewPrivileges || 'not told'}`,
    },
    networkCheck(found),
    {
      what: 'read-only file system',
      holds: found.writable.length === 0,
      seen: listed(found.writable, 'writable'),
    },
    {
      what: 'nothing of the host in sight',
      holds: found.visible.length === 0,
      seen: listed(found.visible, 'readable'),
    },
    {
      what: 'limit on processes',
      holds: found.processes.forked <= spec.pids,
      seen: `${found.processes.forked} of ${spec.pids} forked, then ${found.processes.refused}`,
      remedy: 'RESOURCE_LIMITS_ENABLED must be true, and the host must have the pids cgroup or rlimits',
    },
    {
      what: 'limit on /tmp',
      holds: found.tmpBytes <= spec.tmpBytes,
      seen: `${found.tmpBytes} of ${spec.tmpBytes} bytes taken`,
    },
    {
      what: 'limit on memory',
      holds: eaten.status === 'failed' && eaten.failure.code === 'out_of_memory',
      seen:
        eaten.status === 'failed'
          ? `twice as much ended as ${eaten.failure.code}`
          : 'twice as much was given',
      remedy: 'RESOURCE_LIMITS_ENABLED must be true, and the host must have the memory cgroup',
    },
    {
      what: 'filtered system calls',
      holds: found.seccomp === '2',
      seen: `seccomp mode ${found.seccomp || 'not told'}`,
      remedy: 'a container engine brings a seccomp profile',
    },
  ];
}

function networkCheck({ interfaces, routes }: z.output<typeof report>): Check {
  const outside = interfaces.filter((name) => name !== 'lo');
  const seen = `interfaces ${interfaces.join(', ') || 'none'}; ${routes} routes`;
  // Tunnel stubs that some kernels put into every namespace lead nowhere without a route.
  return {
    what: 'no network',
    holds: routes === 0 && !outside.some((name) => /^(eth|en|wl|veth)/.test(name)),
    seen,
  };
}

function listed(paths: readonly string[], word: string): string {
  return paths.length === 0 ? `nothing tried was ${word}` : `${word}: ${paths.join(', ')}`;
}
