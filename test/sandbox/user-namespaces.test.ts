import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noSandboxHere } from '../../src/sandbox/user-namespaces.ts';
import { newInstanceId } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { suiteWhere } from '../suite-where.ts';

const SAID = 'bwrap: setting up uid map: Permission denied';

let proc: string;
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'cronium-proc-'));
});
afterEach(() => rmSync(proc, { recursive: true }));

/** What is said on a host with these settings. */
function saidWith(settings: Record<string, number>) {
  for (const [name, value] of Object.entries(settings)) {
    const path = join(proc, 'sys', name.replaceAll('.', '/'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${value}\n`);
  }
  const { message, remedy } = noSandboxHere(SAID, proc);
  return { message, remedy };
}

test.each([
  ['user.max_user_namespaces', 0, 'sysctl -w user.max_user_namespaces='],
  ['kernel.unprivileged_userns_clone', 0, 'sysctl -w kernel.unprivileged_userns_clone=1'],
  ['kernel.apparmor_restrict_unprivileged_userns', 1, 'AppArmor profile'],
])('%s = %i is named, with what lets user namespaces be made', (name, value, remedy) => {
  const allowed = {
    'user.max_user_namespaces': 96_364,
    'kernel.unprivileged_userns_clone': 1,
    'kernel.apparmor_restrict_unprivileged_userns': 0,
  };
  const said = saidWith({ ...allowed, [name]: value });
  expect(said.message).toBe(`bwrap cannot make a sandbox here: ${SAID} (${name} is ${value})`);
  expect(said.remedy).toContain(remedy);
});

test('where two settings are in the way both are named', () => {
  const { message } = saidWith({
    'user.max_user_namespaces': 0,
    'kernel.unprivileged_userns_clone': 0,
  });
  expect(message).toContain('user.max_user_namespaces is 0 and kernel.unprivileged_userns_clone is 0');
});

test('where no setting is in the way none is blamed', () => {
  const { message, remedy } = saidWith({ 'user.max_user_namespaces': 96_364 });
  expect(message).toBe(`bwrap cannot make a sandbox here: ${SAID}`);
  expect(remedy).toContain('look at what this gateway itself runs under');
});

/** The command that runs another one in a user namespace whose processes can make none themselves. */
const WITHOUT_NAMESPACES = [
  '--user',
  '--map-root-user',
  'sh',
  '-c',
  'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
  'sh',
];

function reasonAgainst(): string | undefined {
  try {
    execFileSync('unshare', [...WITHOUT_NAMESPACES, 'true'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `no user namespace can be made: ${(error as Error).message.trim().split('\n').at(-1)}`;
  }
}

await onEngine('bubblewrap', () => {
  suiteWhere('a host without user namespaces', reasonAgainst(), () => {
    test('is told what is set there, and not to install what it has', () => {
      const source = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url));
      const program = `
        import { detectOptions } from ${JSON.stringify(source('compose/detect-options.ts'))};
        import { parseConfig } from ${JSON.stringify(source('config.ts'))};
        import { detectBackend } from ${JSON.stringify(source('sandbox/detect.ts'))};
        const own = { instanceId: '${newInstanceId()}', onProgress() {}, onEngineError() {} };
        const options = detectOptions(parseConfig({}), own);
        await detectBackend('bubblewrap', options).catch(({ message }) => console.log(message));`;
      const command = [process.execPath, '--eval', program];
      const said = execFileSync('unshare', [...WITHOUT_NAMESPACES, ...command], { encoding: 'utf8' });
      expect(said).toContain('(user.max_user_namespaces is 0)');
      expect(said).toContain('sysctl -w user.max_user_namespaces=');
      expect(said).not.toContain('apt-get');
    });
  });
});
