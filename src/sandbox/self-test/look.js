// Tries, from inside a sandbox, what nobody in one may do: as look.py does, which says more of each. Node.js makes no system calls of
// a caller's choosing; Perl, which every Debian has, makes them for it.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';

const NO_WAY = [
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'EPERM',
  'EACCES',
  'EAFNOSUPPORT',
  'EADDRNOTAVAIL',
  'EINVAL',
];
const REFUSED = ['EPERM', 'EACCES', 'ENOSYS'];
const stopped = (seen) => ({ reached: false, seen });
const reached = (seen) => ({ reached: true, seen });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function connects(options) {
  return new Promise((resolve) => {
    const where = options.path ?? options.host;
    const socket = net.connect(options);
    const settle = (found) => {
      socket.destroy();
      resolve(found);
    };
    socket.setTimeout(500, () => settle(reached(`${where} did not answer, but something was sent to it`)));
    socket.on('connect', () => settle(reached(where)));
    socket.on('error', ({ code }) =>
      settle(NO_WAY.includes(code) || options.path ? stopped(code) : reached(`${where} (${code})`)),
    );
  });
}

/** What was reached by one of several, or how all were stopped. */
async function all(attempts) {
  const found = await Promise.all(attempts);
  const untried = found.find((one) => one.reached === null);
  return (
    found.find((one) => one.reached) ??
    untried ??
    stopped([...new Set(found.map(({ seen }) => seen))].join(', '))
  );
}

/** The interface and the gateway of each. */
function routes() {
  if (!fs.existsSync('/proc/net/route')) return [];
  const lines = fs.readFileSync('/proc/net/route', 'utf8').trim().split('\n').slice(1);
  return lines.map((line) => {
    const [interface_, , hex] = line.split('\t');
    const bytes = hex.match(/../g).reverse();
    return { interface_, gateway: bytes.map((byte) => Number.parseInt(byte, 16)).join('.') };
  });
}

async function network() {
  const [route] = routes();
  if (route !== undefined) return reached(`a route by ${route.interface_}`);
  return all([connects({ host: '1.1.1.1', port: 53 }), connects({ host: '2606:4700:4700::1111', port: 53 })]);
}

function bridge(bridges) {
  const hosts = [...bridges, ...routes().map(({ gateway }) => gateway)].filter((host) => host !== '0.0.0.0');
  return all(hosts.map((host) => connects({ host, port: 2375 })));
}

function writes(folders) {
  const found = [];
  const said = new Set();
  for (const folder of folders) {
    try {
      fs.writeFileSync(`${folder}/.self-test`, '');
      found.push(folder);
      fs.unlinkSync(`${folder}/.self-test`);
    } catch ({ code }) {
      said.add(code);
    }
  }
  return found.length > 0 ? reached(found.join(', ')) : stopped([...said].join(', '));
}

const NUMBERS = { arm64: { mount: 40, ptrace: 117, bpf: 280, unshare: 97 } }[process.arch] ?? {
  mount: 165,
  ptrace: 101,
  bpf: 321,
  unshare: 272,
};

function systemCall(name, args) {
  // Perl takes no constants, since a system call could write to them.
  const code = `my @a = (${[NUMBERS[name], ...args].join(', ')}); print syscall($a[0], @a[1 .. $#a]) < 0 ? $! + 0 : "served"`;
  const { stdout, error } = spawnSync('perl', ['-e', code], { encoding: 'utf8' });
  if (error !== undefined || stdout === '') return { reached: null, seen: 'there is no Perl to try it with' };
  if (stdout === 'served') return reached(`${name} was served`);
  const said =
    Object.entries(os.constants.errno).find(([, number]) => number === Number(stdout))?.[0] ?? stdout;
  return REFUSED.includes(said) ? stopped(said) : reached(`${name} was served (${said})`);
}

const seize = (pid) => systemCall('ptrace', [0x4206, pid, 0, 0]);

function statusOf(name) {
  return (
    new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ??
    'not told'
  );
}

function privileges() {
  if (process.getuid() === 0) return reached('uid 0');
  if (Number.parseInt(statusOf('CapEff'), 16)) return reached(`capabilities ${statusOf('CapEff')}`);
  if (!['1', 'not told'].includes(statusOf('NoNewPrivs')))
    return reached('set-user-id programs would be obeyed');
  try {
    process.setuid(0);
    return reached('uid 0');
  } catch ({ code }) {
    return stopped(`uid ${process.getuid()}, ${code}`);
  }
}

function others(marks) {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  for (const path of pids.flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`])) {
    let content;
    try {
      content = fs.readFileSync(path, 'utf8');
    } catch {
      continue;
    }
    const mark = marks.find((one) => content.includes(one));
    if (mark !== undefined) return reached(`${mark} in ${path}`);
  }
  return stopped(`${pids.length} processes in sight, all of the sandbox`);
}

function files(bound) {
  const kept = [];
  try {
    while (kept.length <= bound) kept.push(fs.openSync('/dev/null'));
    return reached(`${kept.length} opened`);
  } catch ({ code }) {
    return stopped(code);
  } finally {
    for (const fd of kept) fs.closeSync(fd);
  }
}

function tmp(bound) {
  let written = 0;
  const fd = fs.openSync('/tmp/.fill', 'w');
  try {
    while (written <= bound) written += fs.writeSync(fd, Buffer.alloc(65_536));
    return reached(`${written >> 20} MiB written`);
  } catch ({ code }) {
    return stopped(`${code} after ${written >> 20} MiB`);
  } finally {
    fs.closeSync(fd);
    fs.unlinkSync('/tmp/.fill');
  }
}

async function processes(bound) {
  const children = [];
  let reason;
  while (reason === undefined && children.length < bound + 32) {
    const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' }).on('error', () => {});
    if (child.pid === undefined) reason = 'EAGAIN';
    else children.push(child);
  }
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))));
  if (reason === undefined) return reached(`${children.length} started`);
  return stopped(`${children.length} started, then ${reason}`);
}

export async function handler(event) {
  const found = {
    network: await network(),
    metadata: await connects({ host: '169.254.169.254', port: 80 }),
    bridge: await bridge(event.bridges),
    writes: writes(event.readOnly),
    mount: systemCall('mount', ['"none"', '"/tmp"', '"tmpfs"', 0, 0]),
    bpf: systemCall('bpf', [5, '"\\0" x 128', 128]),
    ptrace: await all([seize(process.ppid), seize(1)]),
    user_namespace: systemCall('unshare', [0x10000000]),
    privileges: privileges(),
    others: others(event.marks),
    engine: await all(event.sockets.map((path) => connects({ path }))),
    seccomp: statusOf('Seccomp') === '2' ? stopped('mode 2') : reached(`mode ${statusOf('Seccomp')}`),
    files: files(event.files),
    tmp: tmp(event.tmpBytes),
    processes: await processes(event.pids),
  };
  fs.writeSync(2, `found:${JSON.stringify(found)}\n`);
  await sleep(100);
  const kept = [];
  while (kept.length * 4 * 2 ** 20 < event.memoryBytes * 2) kept.push(Buffer.alloc(4 * 2 ** 20, 'x'));
  return kept.length;
}
