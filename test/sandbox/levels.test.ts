import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Runtime } from '../../src/core/event.ts';
import { answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import { type EngineName, findEngine, type OpenEngine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

/** What functions do every day and a filter of system calls could break. */
const EVERYDAY: Readonly<Record<Runtime, string>> = {
  python: `
import asyncio, ctypes, hashlib, os, socket, sqlite3, subprocess, tempfile, threading, zlib

def loopback():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    server.accept()[0].sendall(b"over loopback")
    return client.recv(99).decode()

def in_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(threading.get_ident()))
    thread.start()
    thread.join()
    return len(found)

def handler(event, context):
    with tempfile.NamedTemporaryFile() as file:
        database = sqlite3.connect(file.name)
        database.execute("pragma journal_mode=wal")
        database.execute("create table t (v)")
        database.execute("insert into t values (42)")
        database.commit()
        value = database.execute("select v from t").fetchone()[0]
        database.close()
    os.mkfifo("/tmp/fifo")
    return {
        "sqlite": value,
        "child": subprocess.run(["sh", "-c", "echo $((6*7)) | cat"], capture_output=True, text=True).stdout.strip(),
        "thread": in_thread(),
        "zlib": len(zlib.decompress(zlib.compress(b"x" * 999))),
        "hash": hashlib.sha256(b"").hexdigest()[:8],
        "loopback": loopback(),
        "asyncio": asyncio.run(asyncio.sleep(0.001, 7)),
        "processors": os.cpu_count() > 0 and len(os.sched_getaffinity(0)) > 0,
        "interfaces": "lo" in [name for _, name in socket.if_nameindex()],
        "libc": ctypes.CDLL(None).getpid() > 0,
        "random": len(os.urandom(8)),
    }
`,
  nodejs: `
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { cpus, networkInterfaces } from 'node:os';
import { Worker } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';
export const handler = async () => {
  const worker = new Worker("require('node:worker_threads').parentPort.postMessage(42)", { eval: true });
  const fromWorker = await new Promise((resolve) => worker.once('message', resolve));
  const server = createServer((_, response) => response.end('over loopback'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const text = await (await fetch('http://127.0.0.1:' + server.address().port)).text();
  server.close();
  const directory = await mkdtemp('/tmp/x-');
  await writeFile(directory + '/f', 'kept');
  return {
    fromWorker, text,
    child: execFileSync('sh', ['-c', 'echo 42']).toString().trim(),
    zlib: gunzipSync(gzipSync('x'.repeat(999))).length,
    hash: createHash('sha256').update('').digest('hex').slice(0, 8),
    key: generateKeyPairSync('ed25519').privateKey.type,
    file: await readFile(directory + '/f', 'utf8'),
    processors: cpus().length > 0,
    interfaces: 'lo' in networkInterfaces(),
    wasm: (await WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))).instance.exports !== undefined,
  };
};
`,
  bash: `
set -euo pipefail
cd "$(mktemp -d)"
seq 9 > numbers
sum=$(awk '{ s += $1 } END { print s }' < <(sort -rn numbers | head -3))
sleep 0.01 & wait $!
mkfifo pipe; (echo through > pipe &) ; read -r word < pipe
cp numbers copy; cmp numbers copy; ln -s copy link; mv copy other; rm other
text=$(printf 'a b' | sed 's/a/z/' | tr ' ' '_')
cronium output "$sum $word $text $(find . -type f | wc -l)"
`,
};
const EXPECTED: Readonly<Record<Runtime, unknown>> = {
  python: {
    ...{ sqlite: 42, child: '42', thread: 1, zlib: 999, hash: 'e3b0c442', loopback: 'over loopback' },
    ...{ asyncio: 7, processors: true, interfaces: true, libc: true, random: 8 },
  },
  nodejs: {
    ...{ fromWorker: 42, text: 'over loopback', child: '42', zlib: 999, hash: 'e3b0c442', key: 'private' },
    ...{ file: 'kept', processors: true, interfaces: true, wasm: true },
  },
  bash: '24 through z_b 1',
};

const FORBIDDEN = `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def error_of(call, *args):
    ctypes.set_errno(0)
    return "allowed" if getattr(libc, call)(*args) >= 0 else errno.errorcode[ctypes.get_errno()]
def read(path):
    try:
        with open(path) as file:
            return len(file.read(64))
    except OSError:
        return 0
def handler(event, context):
    return {
        "namespace": error_of("unshare", 0x10000000),
        "clone3": error_of("syscall", 435, 0, 0),
        "io_uring": error_of("syscall", 425, 1, 0),
        "ptrace": error_of("ptrace", 0, 0, 0, 0),
        "memory file": error_of("memfd_create", b"", 0),
        "vsock": error_of("socket", 40, 1, 0),
        "packet filter": error_of("socket", 16, 3, 12),
        "sctp": error_of("socket", 2, 1, 132),
        "raw": error_of("socket", 2, 3, 1),
        "terminal": error_of("ioctl", 0, 0x5412, 0),
        "personality": error_of("personality", 0x0400000),
        "symbols": read("/proc/kallsyms"),
        "mode": next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:")),
    }
`;

for (const name of ['docker', 'podman', 'bubblewrap', 'docker+runsc'] satisfies EngineName[])
  await onEngine(name, (engine) => {
    let open: OpenEngine;
    beforeAll(async () => {
      open = await engine.open(undefined, 'enhanced');
    }, 60_000);
    afterAll(async () => {
      await open.backend.close();
      expect(await open.traces()).toEqual({ sandboxes: [], gateway: [] });
    });

    async function run(runtime: Runtime, code: string): Promise<unknown> {
      const spec = smallSpec(runtime, { memoryBytes: 192 * 2 ** 20 });
      const sandbox = await open.backend.create(spec, AbortSignal.timeout(30_000));
      try {
        expect(sandbox.level).toBe('enhanced');
        return answerOf(await runIn(sandbox, callOf(code)));
      } finally {
        await sandbox.destroy();
      }
    }

    test.each(['python', 'nodejs', 'bash'] as const)(
      'at enhanced, %s does what it does every day',
      async (runtime) => {
        expect(await run(runtime, EVERYDAY[runtime])).toEqual(EXPECTED[runtime]);
      },
    );

    // What gVisor lets through reaches gVisor, and not the host.
    test.skipIf(name === 'docker+runsc')('at enhanced, the kernel is asked for little', async () => {
      const refused = [
        'namespace',
        'io_uring',
        'ptrace',
        'memory file',
        'vsock',
        'packet filter',
        'sctp',
        'raw',
      ];
      expect(await run('python', FORBIDDEN)).toEqual({
        ...Object.fromEntries(refused.map((what) => [what, 'EPERM'])),
        ...{ terminal: 'EPERM', personality: 'EPERM', clone3: 'ENOSYS', symbols: 0, mode: '2' },
      });
    });
  });

for (const name of ['docker', 'bubblewrap'] satisfies EngineName[]) {
  const { open, unavailable } = await findEngine(name);
  test.skipIf(unavailable)(`${name} shares the host's kernel, and is refused at paranoid`, async () => {
    await expect(open(undefined, 'paranoid')).rejects.toMatchObject({
      name: 'LevelNotMet',
      message: expect.stringContaining('SECURITY_LEVEL=paranoid: its sandboxes share the kernel'),
      remedy: expect.stringContaining('gVisor'),
    });
  });
}

const gvisor = await findEngine('docker+runsc');
test.skipIf(gvisor.unavailable)('gVisor meets paranoid', async () => {
  const { backend } = await gvisor.open(undefined, 'paranoid');
  try {
    expect([backend.level, backend.kernel]).toEqual(['paranoid', 'gvisor']);
  } finally {
    await backend.close();
  }
});
