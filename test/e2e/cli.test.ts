import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findEngine } from '../engines.ts';
import { CLI, cleanEnv, cronium, type Ended, GatewayProcess, leftOf, Process, TempDir } from './processes.ts';

const engines = await Promise.all([findEngine('bubblewrap'), findEngine('docker')]);
const engine = engines.find(({ unavailable }) => unavailable === undefined);
if (engine === undefined)
  console.warn('skipped: the command line on a running gateway: nothing isolates here');

const FILES = {
  'Greet Me.py':
    'def handler(event, context):\n    return {"path": event["rawPath"], "q": event["rawQueryString"]}\n',
  'echo.mjs':
    'export const handler = async (e) => ({ statusCode: 201, body: e.headers["content-type"] + "|" + e.body });',
  'typed.ts':
    'export const handler = async (): Promise<string> => process.env.GREETING + " " + process.env.TOKEN;',
  'common.cjs':
    'exports.handler = async () => { console.log("first"); throw new Error("broken on purpose"); };',
  'stream.sh': 'echo begin; sleep 1; echo end',
  'noisy.bash': 'echo a >&2; echo "b b" >&2; exit 3',
  'big.js': 'exports.handler = async () => { console.log("x".repeat(5000)); return 1; };',
};

describe.skipIf(engine === undefined)('the command line on a running gateway', () => {
  const dir = new TempDir();
  const file = (name: string) => join(dir.path, name);
  let gateway: GatewayProcess;
  let env: Record<string, string>;

  beforeAll(async () => {
    for (const [name, content] of Object.entries(FILES)) writeFileSync(file(name), content);
    const settings = { MAX_LOG_BYTES: '1000' };
    gateway = new GatewayProcess({ dataDir: file('data'), mode: engine!.mode, env: settings });
    env = { DATA_DIR: file('data'), CRONIUM_URL: await gateway.warm() };
  });

  afterAll(async () => {
    gateway.signal('SIGTERM');
    const { code } = await gateway.ended;
    const left = await leftOf(file('data'));
    dir[Symbol.dispose]();
    expect([code, left]).toEqual([0, []]);
  });

  const command = (...args: string[]): Promise<Ended> => cronium(args, env);
  const failure = (message: string) => ({ code: 1, stdout: '', stderr: `cronium: ${message}\n` });

  test('deploys every kind of file, and a second time as a new version', async () => {
    const url = env.CRONIUM_URL;
    const deployed = (name: string, version = 1) => ({
      code: 0,
      stdout: `${name} version ${version}: ${url}/e/${name}\n`,
      stderr: '',
    });
    expect(await command('deploy', file('Greet Me.py'))).toEqual(deployed('greet-me'));
    for (const name of ['echo.mjs', 'common.cjs', 'stream.sh', 'noisy.bash', 'big.js'])
      expect(await command('deploy', file(name))).toEqual(deployed(name.split('.')[0]!));
    const secret = { ...env, TOKEN: 'from the shell' };
    const args = ['deploy', file('typed.ts'), '--env', 'GREETING=hi=there', '--secret', 'TOKEN'];
    expect(await cronium(args, secret)).toEqual(deployed('typed'));
    expect(await cronium([...args, '--memory', '256', '--timeout', '5000', '--cpus', '0.5'], secret)).toEqual(
      deployed('typed', 2),
    );
    expect(await command('invoke', 'typed')).toMatchObject({ code: 0, stdout: '"hi=there from the shell"' });
  });

  test('what cannot be deployed is refused with the reason', async () => {
    const noEnding = await command('deploy', file('data'));
    expect(noEnding).toEqual(
      failure(`${file('data')}: no runtime is known for this ending; name one with --runtime.`),
    );
    mkdirSync(file('folder.py'));
    const folder = await command('deploy', file('folder.py'));
    expect(folder).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/folder\.py cannot be read: EISDIR/),
    });
    const missing = await command('deploy', file('missing.py'));
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/missing\.py cannot be read: ENOENT/),
    });
    const py = file('Greet Me.py');
    expect(await command('deploy', py, '--env', 'NOVALUE')).toEqual(
      failure('NOVALUE: write it as NAME=value.'),
    );
    expect(await command('deploy', py, '--secret', 'UNSET_HERE')).toEqual(
      failure('--secret UNSET_HERE: this shell has no such variable; export it or write UNSET_HERE=value.'),
    );
    expect(await command('deploy', py, '--memory', 'lots')).toEqual(failure('--memory: lots is no number.'));
    const faults = await command('deploy', py, '--env', '1X=y', '--memory', '1', '--runtime', 'cobol');
    expect(faults.code).toBe(1);
    expect(faults.stderr).toMatch(/\(validation_failed\)/);
    for (const path of ['runtime', 'memoryMb', 'env.1X']) expect(faults.stderr).toContain(`\n  ${path}: `);
  });

  test('invokes with a body of the line, of a file and of standard input, with path and query', async () => {
    expect(await command('invoke', 'greet-me/a/b?c=d')).toMatchObject({
      code: 0,
      stdout: '{"path":"/a/b","q":"c=d"}',
    });
    expect((await command('invoke', 'echo', '-d', '{"a":1}')).stdout).toBe('application/json|{"a":1}');
    writeFileSync(file('body.txt'), 'of a file');
    expect((await command('invoke', 'echo', '-d', `@${file('body.txt')}`)).stdout).toBe(
      'text/plain|of a file',
    );
    const piped = await cronium(['invoke', 'echo', '-d', '@-'], env, { input: 'of a pipe' });
    expect(piped.stdout).toBe('text/plain|of a pipe');
    const noFile = await command('invoke', 'echo', '-d', '@missing.txt');
    expect(noFile).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/missing\.txt: the file cannot be read: ENOENT/),
    });
  });

  test('prints a stream as it arrives', async () => {
    await using child = new Process([process.execPath, CLI, 'invoke', 'stream'], {
      env: { ...cleanEnv(), ...env },
    });
    await child.until('beginning', () => child.stdout !== '');
    expect(child.stdout).toBe('begin\n');
    expect(child.running).toBe(true);
    expect(await child.ended).toMatchObject({ code: 0, stdout: 'begin\nend\n' });
  });

  test('says on demand how a call was started, and demands a cold start', async () => {
    const warm = await command('invoke', '-v', 'greet-me');
    expect(warm.stderr).toMatch(/^x-cronium-invocation-id: \S+\nx-cronium-start: (warm|cold)\n/);
    expect(warm.stderr).toMatch(/^server-timing: admit;dur=/m);
    const cold = await command('invoke', '--verbose', '--cold', 'greet-me');
    expect(cold.stderr).toMatch(/^x-cronium-start: cold$/m);
  });

  test('a failure of the function or of the caller is an error, with its code', async () => {
    const failed = await command('invoke', 'noisy');
    expect(failed).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('(function_error)'),
    });
    const unknown = await command('invoke', 'nobody');
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('(not_found)') });
    const token = await command('invoke', 'echo', '--token', 'x.y.z');
    expect(token).toMatchObject({ code: 1, stderr: expect.stringContaining('(invalid_token)') });
  });

  test('logs: oldest first, with errors, their trace, and the mark of a cut', async () => {
    await command('invoke', 'common');
    await command('invoke', 'common', '-d', 'again');
    const { code, stdout } = await command('logs', 'common');
    expect(code).toBe(0);
    const heads = stdout.split('\n').filter((line) => line.startsWith('── '));
    expect(heads).toHaveLength(2);
    expect(heads).toEqual([...heads].sort());
    expect(heads[0]).toMatch(/^── \S+Z [0-9a-f-]{36} failed 502 (warm|cold) \d+\.\d ms$/);
    expect(stdout).toMatch(/ ms\nfirst\nfunction_error: .*broken on purpose.*\n(.*\n)*\s+at /);
    const last = await command('logs', 'common', '-n', '1');
    expect(last.stdout.split('\n')[0]).toBe(heads[1]);
    await command('invoke', 'big');
    expect((await command('logs', 'big')).stdout).toContain('\n… (cut at the limit)\n');
    const limit = await command('logs', 'big', '-n', 'many');
    expect(limit).toMatchObject({ code: 1, stderr: expect.stringMatching(/\n {2}limit: /) });
    const nobody = await command('logs', 'nobody');
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('(not_found)') });
  });

  test('a token of the command line is what the gateway accepts, for its scope and user', async () => {
    const { stdout } = await command('token', '--sub', 'bob', '--scope', 'events:read', '--ttl', '90s');
    const token = stdout.trim();
    const mine = await fetch(`${env.CRONIUM_URL}/v1/events`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect([mine.status, await mine.json()]).toEqual([200, { items: [] }]);
    const write = await command('deploy', file('echo.mjs'), '--token', token);
    expect(write).toMatchObject({ code: 1, stderr: expect.stringContaining('(insufficient_scope)') });
  });
});
