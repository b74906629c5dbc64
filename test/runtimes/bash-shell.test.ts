import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Agent, gone, type Invoke, invoke, type Transcript } from './agent-driver.ts';

const RUNTIMES = join(import.meta.dirname, '../../runtimes');
const commandIn = (runtimes: string) => ({
  file: '/usr/bin/python3',
  args: [...['-I', '-B', '-S', '-X', 'utf8'], join(runtimes, 'python/agent.py'), ...['--runtime', 'bash']],
});
const agents: Agent[] = [];
afterEach(() => Promise.all(agents.splice(0).map((agent) => agent.dispose())));

async function boot(runtimes = RUNTIMES): Promise<Agent> {
  const agent = await Agent.boot(commandIn(runtimes));
  agents.push(agent);
  return agent;
}

async function run(code: string, overrides: Partial<Invoke> = {}): Promise<Transcript> {
  return (await boot()).run(invoke({ runtime: 'bash', code, ...overrides }));
}

/** What a bash that is started for the script alone makes of it. */
async function plainly(code: string, env: Record<string, string>, path: string) {
  const scratch = await mkdtemp(join(tmpdir(), 'bash-test-'));
  try {
    const script = join(scratch, 'main.sh');
    await writeFile(script, code);
    return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const child = execFile(
        '/bin/bash',
        [script],
        {
          cwd: '/tmp',
          maxBuffer: 1e8,
          env: { PATH: path, LANG: 'C.UTF-8', TZ: 'UTC', HOME: '/tmp', ...env },
        },
        (error, stdout, stderr) => {
          const shown = (text: string) => text.replaceAll(script, 'SCRIPT');
          resolve({ code: error ? Number(error.code) : 0, stdout: shown(stdout), stderr: shown(stderr) });
        },
      );
      child.stdin!.end();
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const PATH = 'cronium output "$PATH"';

/** The processes that match a pattern, as `pgrep` has it. */
function pgrep(...args: string[]): Promise<number[]> {
  return new Promise((resolve) =>
    execFile('pgrep', args, (_, stdout) => resolve(stdout.split('\n').filter(Boolean).map(Number))),
  );
}
const shellsOf = (agent: Agent) => pgrep('-f', `^bash ${agent.scratch}/`);

/** Prints standard output at the end of the log, so that scripts that fail can be compared, too. */
async function compare(code: string, env: Record<string, string> = {}): Promise<void> {
  const path = String((await run(PATH)).result!.value);
  const { data, logs, end } = await run(code, { env });
  const plain = await plainly(code, env, path);
  const shown = (text: string) => text.replaceAll(/\/\S*\/cronium-[0-9a-f]+\/main\.sh/g, 'SCRIPT');
  expect({ code: end.exit?.code, stderr: shown(logs) }).toEqual({
    code: plain.code,
    stderr: plain.code === 0 ? plain.stderr : expect.stringContaining(plain.stderr),
  });
  if (plain.code === 0) expect(shown(data.toString())).toBe(plain.stdout);
  else for (const line of plain.stdout.split('\n')) expect(shown(logs)).toContain(line);
}

const EVERYTHING = `echo "\${_##*/}"
f() { echo "\${FUNCNAME[@]} \${BASH_SOURCE[@]} \${BASH_LINENO[@]}"; caller 0; }
f
echo "$0 $- $# $LINENO $SHLVL $? $PWD $BASH_SUBSHELL $PPID" | sed 's/ [0-9]*$//'
(return 0 2>/dev/null) && echo sourced
[[ \${BASH_SOURCE[0]} == "$0" ]] && echo main
declare -p | grep -vE 'BASH=|BASHPID|EPOCH|RANDOM|BASH_ARG|PPID|CRONIUM|PIPESTATUS|SECONDS'
set -o; shopt; trap -p; umask; declare -F; alias; hash; enable -a
head -n 2 "$0"
env -0 | tr '\\0' '\\n' | grep -v CRONIUM | sort
`;

describe('a Bash script runs as bash itself would run it', () => {
  test('with everything that a shell says of itself', () => compare(EVERYTHING));

  test.each([
    ['an error in the middle', 'echo one\nif true; then\necho "'],
    ['a trap of errors', 'trap \'echo "at $LINENO" >&2\' ERR EXIT\nfalse\necho two\nfalse'],
    ['a trap of every command', "trap 'echo d' DEBUG; trap 'echo r' RETURN\nf() { :; }; f\necho x"],
    ['strict mode', 'set -Eeuo pipefail\ntrap \'echo "failed at $LINENO" >&2\' ERR\nfalse | true\necho no'],
    ['a return from nowhere', 'echo a\nreturn 3\necho b'],
    ['a document that does not end', 'cat <<X\nhere\n'],
    [
      'another start of itself',
      `[[ \${1-} == again ]] && { echo "again $SHLVL"; exit 4; }\nexec "$BASH" "$0" again`,
    ],
    ['a long text', `${'# filling\n'.repeat(20_000)}echo "$LINENO"`],
    ['a name that is not there', 'nosuchprogram --at all\necho $?'],
    ['a file that is no text', 'echo a\n\u0000\u0001\nexit 3'],
  ])('%s', (_, code) => compare(code));

  test.each<[string, Record<string, string>]>([
    ['quotes and lines', { A: `it's "x" $HOME \`id\` \\n`, B: 'one\ntwo\n', C: '', EMOJI: '🎈é' }],
    ['names that a shell does not have', { 'my.var': '1', '-x': '2', '1a': '3', PLAIN: '4' }],
    ['settings of bash', { SHELLOPTS: 'braceexpand:hashall:nounset', BASHOPTS: 'extglob' }],
    [
      'what bash has for itself',
      { UID: '0', PPID: '1', RANDOM: 'x', SECONDS: '100', IFS: ',', PS4: '> ', _: 'x' },
    ],
    ['what bash takes no notice of when it starts', { PS1: '$ ', PS2: '> ', IGNOREEOF: '3', ignoreeof: '3' }],
    ['a locale that is not there', { LC_ALL: 'xx_YY' }],
    ['other files for times', { TZ: 'Asia/Tokyo', TZDIR: '/nowhere' }],
    ['a place in the world', { LANG: 'C', LC_ALL: 'C.UTF-8', TZ: 'Asia/Tokyo' }],
    ['more than a pipe holds', { A: 'a'.repeat(100_000), B: 'b'.repeat(100_000) }],
  ])('an environment of %s', async (_, env) => {
    await compare(EVERYTHING, env);
    await compare(`date +%Z; printf "%s|" "\${A-}" "\${IFS-}"; ls -d /tmp | sort`, env);
  });

  test('a file that the environment has bash read first', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'bash-test-'));
    try {
      await writeFile(join(scratch, 'env'), 'echo first; greeting=hello\n');
      await compare(`echo "$greeting \${BASH_ENV##*/}"`, { BASH_ENV: join(scratch, 'env') });
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});

describe('the bash of a warm sandbox', () => {
  test('has been started before the call, and does not show it', async () => {
    const agent = await boot();
    await pause(2_100);
    const { data } = await agent.run(
      invoke({ runtime: 'bash', code: 'echo "$SECONDS"; ps -o etimes= -p $$' }),
    );
    const [seconds, age] = data.toString().trim().split(/\s+/).map(Number);
    expect(seconds).toBe(0);
    expect(age).toBeGreaterThanOrEqual(2);
  });

  test('is left alone by what handed the call over', async () => {
    const code = `
sleep 0.3
for pid in /proc/[0-9]*; do
  [[ $(cat "$pid/stat" 2>/dev/null) =~ ')'\\ [^Z]\\ $PPID\\  ]] && echo "child \${pid#/proc/}"
done
echo "me $$"`;
    const { data } = await run(code);
    const lines = data.toString().trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toBe(lines[1]!.replace('me', 'child'));
  });

  test('ends with an agent that is not called', async () => {
    const agent = await boot();
    expect(await shellsOf(agent)).toHaveLength(1);
    await agent.dispose();
    expect(await shellsOf(agent)).toEqual([]);
  });

  test.each([0, 100_000])(
    'runs nothing when who hands over %i bytes is killed midway',
    { timeout: 20_000 },
    async (bytes) => {
      const agent = await boot();
      const [shell] = await shellsOf(agent);
      const others = async () => (await pgrep('-P', String(agent.pid))).filter((pid) => pid !== shell);
      await expect.poll(others).toHaveLength(1);
      const [clerk] = await others();
      // What a pipe holds is handed over at once; of the rest the shell has not read anything yet.
      process.kill(bytes === 0 ? clerk! : shell!, 'SIGSTOP');
      const ran = join(agent.scratch, 'ran');
      const env = { A: 'a'.repeat(bytes), B: 'b' };
      agent.send(invoke({ runtime: 'bash', code: `echo "$A$B" >${ran}`, env }));
      const [own] = (await readdir(agent.scratch)).filter((name) => name.startsWith('cronium-'));
      if (bytes === 0) await writeFile(join(agent.scratch, own!, 'main.sh'), `touch ${ran}`);
      else await expect.poll(() => readdir(join(agent.scratch, own!))).toContain('event.json');
      await pause(200);
      process.kill(clerk!, 'SIGKILL');
      await gone(clerk!);
      if (bytes === 0) expect(await agent.exited).toEqual({ code: 1, signal: null });
      else {
        process.kill(shell!, 'SIGCONT');
        expect((await agent.transcript()).end.exit).toEqual({ code: null, signal: 'SIGKILL' });
      }
      expect(await readdir(agent.scratch)).not.toContain('ran');
    },
  );

  describe('that takes its time to wait for a call', () => {
    let runtimes: string;
    beforeAll(async () => {
      runtimes = await mkdtemp(join(tmpdir(), 'bash-test-'));
      await cp(RUNTIMES, runtimes, { recursive: true });
      const insert = async (path: string, before: string, line: string) => {
        const lines = (await readFile(join(runtimes, path), 'utf8')).split('\n');
        const at = lines.findIndex((each) => each.startsWith(before));
        await writeFile(join(runtimes, path), lines.toSpliced(at, 0, line).join('\n'));
      };
      await insert('bash/lib/await.sh', '. ', 'read -t 0.5 <> <(:)');
      // And so does the agent, to close its own end: until then it counts as one that reads.
      await insert(
        'python/cronium_agent/supervisor.py',
        '    for descriptor in (down[0],',
        '    time.sleep(0.2)',
      );
    });
    afterAll(() => rm(runtimes, { recursive: true }));

    test('is handed one all the same', async () => {
      const agent = await boot(runtimes);
      const { data } = await agent.run(invoke({ runtime: 'bash', code: 'echo "$A"', env: { A: 'here' } }));
      expect(data.toString()).toBe('here\n');
    });

    test('ends with an agent that was not greeted', async () => {
      const agent = await Agent.start(commandIn(runtimes));
      agents.push(agent);
      await expect.poll(() => shellsOf(agent)).toHaveLength(1);
      await pause(100);
      agent.close();
      await agent.exited;
      await pause(600);
      expect(await shellsOf(agent)).toEqual([]);
    });
  });

  test('says why a script cannot be started', async () => {
    const agent = await boot();
    const [own] = (await readdir(agent.scratch)).filter((name) => name.startsWith('cronium-'));
    await mkdir(join(agent.scratch, own!, 'body'));
    const { end } = await agent.run(invoke({ runtime: 'bash', code: 'echo never' }));
    expect(end.exit).toEqual({ code: 126, signal: null });
    expect(end.error?.message).toMatch(/^cannot start the script: .*body/);
  });
});
