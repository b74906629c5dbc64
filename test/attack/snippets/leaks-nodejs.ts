import { PORT } from './leaks-python.ts';

const TOOLS = `
import child from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
const list = (path) => { try { return fs.readdirSync(path, { withFileTypes: true }); } catch { return []; } };
const walk = function* (path) {
  for (const entry of list(path)) {
    const full = path === '/' ? '/' + entry.name : path + '/' + entry.name;
    if (/^\\/(proc|sys|usr|lib|lib64|bin|sbin)$/.test(full)) continue;
    yield [full, entry.isDirectory()];
    if (entry.isDirectory()) yield* walk(full);
  }
};
const read = (path) => { try { return fs.readFileSync(path, 'latin1'); } catch { return ''; } };
`;

/** Leaves a mark wherever a mark can be left, says so, and goes on running. */
export const NODEJS_PLANTS = `${TOOLS}
export const handler = async ({ mark }) => {
  const planted = [];
  const folders = ['/', ...[...walk('/')].filter(([, isFolder]) => isFolder).map(([path]) => path)];
  for (const folder of folders) try { fs.writeFileSync(folder + '/' + mark, mark); planted.push(folder); } catch {}
  process.env.LEAK = mark;
  process.env.NODE_OPTIONS = '--require /tmp/' + mark;
  globalThis.leak = mark;
  Object.prototype.leak = mark;
  JSON.stringify.leak = mark;
  for (let n = 0; n < 3; n++) {
    const script = "trap '' TERM HUP; (setsid bash -c 'exec -a " + mark + " sleep 1000' &) ; exec -a " + mark + " sleep 1000";
    child.spawn('/bin/bash', ['-c', script], { detached: true, stdio: 'ignore' }).unref();
  }
  for (const at of [{ port: ${PORT}, host: '127.0.0.1' }, { path: '\\0leak' }, { path: '/tmp/leak.sock' }])
    await new Promise((resolve, reject) => net.createServer().on('error', reject).listen(at, resolve));
  process.umask(0);
  process.chdir('/run');
  await new Promise((resolve) => setTimeout(resolve, 200));
  console.log('planted ' + JSON.stringify(planted));
  await new Promise(() => {});
};
`;

/** All that somebody in a sandbox can find; the same in every sandbox that nobody was in before. */
export const NODEJS_FINDS = `${TOOLS}
const connects = (at) => new Promise((resolve) => {
  net.connect(at).on('connect', () => resolve('connected')).on('error', (error) => resolve(error.code));
});
const remembers = (pid, secret) => {
  try {
    const memory = fs.openSync('/proc/' + pid + '/mem', 'r');
    for (const line of fs.readFileSync('/proc/' + pid + '/maps', 'utf8').split('\\n')) {
      if (!line.includes(' rw')) continue;
      const [begin, end] = line.split(' ')[0].split('-').map((part) => parseInt(part, 16));
      if (end - begin > 2 ** 25) continue;
      const bytes = Buffer.alloc(end - begin);
      try { fs.readSync(memory, bytes, 0, bytes.length, begin); } catch { continue; }
      if (bytes.includes(secret)) return 'found';
    }
    return 'not found';
  } catch { return 'not found'; }
};
export const handler = async ({ terces }) => {
  const umask = process.umask(0o22);
  const secret = Buffer.from([...terces].reverse().join(''));
  const pids = fs.readdirSync('/proc').filter(Number);
  return {
    files: [...walk('/')].filter(([, isFolder]) => !isFolder).map(([path]) => path).sort(),
    environ: { ...process.env, CRONIUM_EXECUTION_ID: '' },
    environs: pids.map((pid) => read('/proc/' + pid + '/environ').split('\\0').sort().join('\\0')).sort(),
    commands: pids.map((pid) => read('/proc/' + pid + '/cmdline')).sort(),
    globals: ['leak' in globalThis, 'leak' in {}, 'leak' in JSON.stringify],
    limits: [umask, process.cwd()],
    connects: [await connects({ port: ${PORT}, host: '127.0.0.1' }), await connects({ path: '\\0leak' }), await connects({ path: '/tmp/leak.sock' })],
    tcp: read('/proc/net/tcp').split('\\n').length,
    memory: pids.filter((pid) => Number(pid) !== process.pid).map((pid) => remembers(pid, secret)).sort(),
    pids: pids.length,
  };
};
`;
