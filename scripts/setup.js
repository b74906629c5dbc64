// Makes `npm start` and `npm test` work on a fresh checkout: dependencies (with a Node.js new enough to run TypeScript), and
// something that can isolate functions. Plain JavaScript without imports from node_modules, because it runs before they exist,
// on whatever Node.js from 20 on the machine has.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const STAMP = join(ROOT, 'node_modules', '.cronium-setup');
const NEEDED_NODE = 24;
const DEBIAN_PACKAGES = ['bubblewrap', 'python3', 'util-linux'];
const BUBBLEWRAP_FILES = ['/usr/bin/bwrap', '/usr/bin/python3', '/usr/bin/prlimit'];
const forTests = process.argv.includes('--test');

await main();

async function main() {
  if (majorOf(process.version) < 20) {
    stop(`Node.js ${process.version} is too old: version 20 or newer is needed to begin with.`);
  }
  installDependencies();
  linkCommand();
  checkNode();
  await ensureIsolation();
}

function installDependencies() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(ROOT, 'package-lock.json')))
    .update(`${process.platform}/${process.arch}`)
    .digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return;
  say('installing dependencies (once; about a minute)');
  // Not `npm ci`: it refuses a lock without the optional packages of platforms that the lock was not made on.
  // The engines of some packages ask for the newer Node.js that this very step installs.
  const quietly = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error', '--engine-strict=false'];
  run('npm', ['install', ...quietly], 'npm install failed, see above');
  writeFileSync(STAMP, wanted);
}

/** `npx cronium` then runs this checkout's command at once, instead of a copy that it would first install elsewhere. */
function linkCommand() {
  const link = join(ROOT, 'node_modules', '.bin', 'cronium');
  if (process.platform === 'win32' || existsSync(link)) return;
  rmSync(link, { force: true });
  symlinkSync('../../bin/cronium', link);
}

function checkNode() {
  const local = join(ROOT, 'node_modules', '.bin', 'node');
  const found = spawnSync(existsSync(local) ? local : 'node', ['--version'], { encoding: 'utf8' });
  if (found.status === 0 && majorOf(found.stdout) >= NEEDED_NODE) return;
  stop(
    `Node.js ${NEEDED_NODE} is needed and npm has none for ${process.platform}/${process.arch}: install it from nodejs.org.`,
  );
}

async function ensureIsolation() {
  const docker = await dockerAnswers();
  const missing = missingFiles();
  if (missing.length === 0 || process.platform !== 'linux') {
    if (docker || process.platform === 'linux') return;
    stop('No Docker engine answers. Start Docker Desktop, then try again.');
  }
  // With Docker there is nothing to do for a start; tests run on both.
  if (docker && !forTests) return;
  const command = `apt-get install -y --no-install-recommends ${DEBIAN_PACKAGES.join(' ')}`;
  if (process.getuid?.() === 0 && isExecutable('/usr/bin/apt-get')) {
    say(`installing ${DEBIAN_PACKAGES.join(', ')} (once), because ${missing.join(', ')} is missing`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], 'apt-get update failed, see above', env);
    run('sh', ['-c', `${command} -qq >/dev/null`], `this failed, see above: ${command}`, env);
    if (missingFiles().length > 0) stop(`${missingFiles().join(', ')} is still missing after: ${command}`);
    return;
  }
  if (docker) return;
  const remedy = isExecutable('/usr/bin/apt-get')
    ? `sudo ${command}`
    : 'your package manager, to install bubblewrap, python3 and util-linux; or start a Docker engine';
  stop(
    `Nothing here can isolate functions: no Docker engine answers, and ${missing.join(', ')} is missing.\nRun: ${remedy}`,
  );
}

/** Whether somebody listens where the gateway will look for an engine. What is there it asks by itself, by TLS where that is set. */
function dockerAnswers() {
  const host = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(host)?.[1];
  const { DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH } = process.env;
  const defaultPort = DOCKER_TLS || DOCKER_TLS_VERIFY || DOCKER_CERT_PATH ? 2_376 : 2_375;
  const [, name, port = defaultPort] = /^\w+:\/\/\[?([^/]+?)\]?(?::(\d+))?\/?$/.exec(host) ?? [];
  if (path === undefined && name === undefined) return false;
  return new Promise((resolve) => {
    const socket = connect(path === undefined ? { host: name, port: Number(port) } : { path });
    const answer = (answers) => {
      socket.destroy();
      resolve(answers);
    };
    socket.setTimeout(2_000, () => answer(false));
    socket.on('error', () => answer(false));
    socket.on('connect', () => answer(true));
  });
}

function missingFiles() {
  return BUBBLEWRAP_FILES.filter((file) => !isExecutable(file));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function run(command, args, failure, env = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2], env });
  if (error) stop(`${command} could not be started: ${error.message}`);
  if (status !== 0) stop(failure);
}

function majorOf(version) {
  return Number(version.trim().replace(/^v/, '').split('.')[0]);
}

function say(message) {
  process.stderr.write(`cronium: ${message}\n`);
}

function stop(message) {
  say(message);
  process.exit(1);
}
