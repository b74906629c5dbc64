import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RUNTIMES, type Runtime } from '../../src/core/event.ts';
import { answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import type { Engine, OpenEngine } from '../engines.ts';

const never = new AbortController().signal;

/** What may be mounted in a sandbox: what the interpreter needs, and what bubblewrap makes anew. */
const ALLOWED =
  /^\/($|usr\/(bin|lib|lib32|lib64)$|(bin|lib|lib32|lib64)$|usr\/local\/bin\/node$|etc\/(ld\.so\.cache|alternatives|passwd|group)$|opt\/cronium$|proc($|\/)|dev$|dev\/(null|zero|full|random|urandom|tty|pts|shm|mqueue|console)$|tmp$|run$)/;
const WRITABLE = ['/tmp', '/run', '/dev/shm'];

const LOOK_AROUND = `
import os
def read(path):
    try:
        with open(path) as file: return file.read()
    except OSError: return ""
def pairs(text):
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
def processes():
    return [pid for pid in os.listdir("/proc") if pid.isdigit()]
def handler(event, context):
    return {
        "status": {pid: {k: v.strip() for k, v in pairs(read("/proc/%s/status" % pid)).items()} for pid in processes()},
        "environs": {pid: read("/proc/%s/environ" % pid).split("\\0") for pid in processes()},
        "mounts": [line.split() for line in read("/proc/self/mountinfo").splitlines()],
        "root": sorted(os.listdir("/")),
        "etc": sorted(os.listdir("/etc")),
        "exists": [path for path in event["paths"] if os.path.lexists(path)],
        "hostname": os.uname().nodename,
        "interfaces": [line.split(":")[0].strip() for line in read("/proc/net/dev").splitlines() if ":" in line],
        "routes": len(read("/proc/net/route").splitlines()) - 1,
        "devices": sorted(os.listdir("/dev")),
    }
`;

interface View {
  status: Record<string, Record<string, string>>;
  environs: Record<string, string[]>;
  mounts: string[][];
  root: string[];
  etc: string[];
  exists: string[];
  hostname: string;
  interfaces: string[];
  routes: number;
  devices: string[];
}

/** What somebody in a sandbox of bubblewrap sees of the host. */
export function bubblewrapView(engine: Engine): void {
  let open: OpenEngine;
  let view: View;

  beforeAll(async () => {
    open = await engine.open();
    const sandbox = await open.backend.create(smallSpec('python'), never);
    const paths = [
      '/root',
      '/home',
      '/var',
      '/srv',
      '/mnt',
      '/media',
      '/boot',
      '/sys',
      '/etc/shadow',
      '/etc/ssl',
    ];
    const event = {
      paths: [...paths, '/run/docker.sock', '/var/run/docker.sock', process.cwd(), process.execPath],
    };
    view = answerOf(await runIn(sandbox, callOf(LOOK_AROUND, { event }))) as View;
    await sandbox.destroy();
  });
  afterAll(() => open.backend.close());

  test('every process has no capability, no way to gain one, and a user that is not root', () => {
    const all = Object.values(view.status);
    expect(all.length).toBeGreaterThanOrEqual(3);
    for (const status of all) {
      for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapBnd', 'CapAmb'])
        expect(status[set], `${status.Name} ${set}`).toMatch(/^0+$/);
      expect(status.NoNewPrivs).toBe('1');
      expect(status.Uid?.split('\t')).toEqual(['1000', '1000', '1000', '1000']);
    }
  });

  test('nothing is mounted beyond what the interpreter needs, and nothing of it can be written', () => {
    for (const [, , , , path = '', options = ''] of view.mounts) {
      expect(path).toMatch(ALLOWED);
      const flags = options.split(',');
      if (!path.startsWith('/proc') && !path.startsWith('/dev/') && !WRITABLE.includes(path))
        expect(flags, path).toContain('ro');
      if (WRITABLE.includes(path)) expect(flags, path).toEqual(expect.arrayContaining(['nosuid', 'nodev']));
    }
    expect(view.mounts.map((fields) => fields[4])).toEqual(
      expect.arrayContaining(['/', '/proc', ...WRITABLE]),
    );
  });

  test("the host's files are not there", () => {
    expect(view.exists).toEqual([]);
    expect(view.etc.filter((name) => !/^(ld\.so\.cache|alternatives|passwd|group)$/.test(name))).toEqual([]);
    const usual = ['bin', 'dev', 'etc', 'lib', 'lib32', 'lib64', 'opt', 'proc', 'run', 'tmp', 'usr'];
    expect(view.root.filter((name) => !usual.includes(name))).toEqual([]);
    expect(view.devices.filter((name) => /^(sd|vd|nvme|kmsg|mem|kvm|fuse|loop|net)/.test(name))).toEqual([]);
    expect(view.hostname).toBe('sandbox');
  });

  test('there is no network', () => {
    expect(view.routes).toBe(0);
    expect(view.interfaces.filter((name) => /^(eth|en|wl|veth|docker|br)/.test(name))).toEqual([]);
  });

  test("no process has anything of the gateway's environment", () => {
    const usual = ['PATH', 'HOME', 'LANG', 'TZ', 'PWD', 'CRONIUM_MEMORY_MB'];
    for (const [pid, environ] of Object.entries(view.environs)) {
      const names = environ.filter(Boolean).map((entry) => entry.split('=')[0] ?? '');
      expect(
        names.filter((name) => !usual.includes(name)),
        `process ${pid}`,
      ).toEqual([]);
    }
  });

  test.each(RUNTIMES)(
    '%s: outside, every process is of a user that owns nothing',
    async (runtime: Runtime) => {
      const sandbox = await open.backend.create(smallSpec(runtime), never);
      const users = usersOf(open.instanceId);
      await sandbox.destroy();
      expect(users.length).toBeGreaterThanOrEqual(3);
      const isRoot = process.getuid?.() === 0;
      for (const uid of users) {
        if (isRoot) expect(uid).toBeGreaterThanOrEqual(2_000_000_000);
        else expect(uid).toBe(process.getuid?.());
      }
    },
  );

  if (process.getuid?.() === 0) {
    test('outside, no two sandboxes are of the same user', async () => {
      const one = await open.backend.create(smallSpec('bash'), never);
      const first = new Set(usersOf(open.instanceId));
      const two = await open.backend.create(smallSpec('bash'), never);
      const both = new Set(usersOf(open.instanceId));
      await Promise.all([one.destroy(), two.destroy()]);
      expect(first.size).toBe(1);
      expect(both.size).toBe(2);
    });
  }
}

function usersOf(instanceId: string): number[] {
  const users: number[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!mounts.includes(`cronium-${instanceId}-`) && !command.includes(`cronium-${instanceId}-`)) continue;
      const uid = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      if (uid !== undefined) users.push(Number(uid));
    } catch {
      // It has ended since it was listed.
    }
  }
  return users;
}
