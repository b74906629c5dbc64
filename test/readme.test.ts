import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configTable, withTable } from '../src/config-table.ts';

const run = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const readme = await readFile(join(root, 'README.md'), 'utf8');

/** The shell commands under a heading, block by block. */
function commandsUnder(heading: string, page = readme): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

describe('the README', () => {
  test('shows the examples as they are in their files', async () => {
    const shown = [...readme.matchAll(/<!-- file: (\S+) -->\n```\w+\n([\s\S]*?)```/g)];
    expect(shown.map((match) => match[1])).toEqual([
      'examples/hello.py',
      'examples/hello.mjs',
      'examples/hello.sh',
    ]);
    for (const [, file, code] of shown) expect(code).toBe(await readFile(join(root, file!), 'utf8'));
  });

  test('has the configuration table of the schema; renew it with: npm run docs', () => {
    expect(withTable(readme, configTable())).toBe(readme);
  });

  test('links only to files that are there', async () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map((match) => match[1]!);
    expect(links.length).toBeGreaterThan(2);
    for (const link of links) await expect(readFile(join(root, link)), link).resolves.toBeDefined();
  });
});

describe('the commands of the README', () => {
  let dataDir: string;
  let gateway: ChildProcess;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'cronium-readme-'));
    env = { ...process.env, DATA_DIR: dataDir, PORT: '0' };
    gateway = spawn('node', ['bin/cronium', 'serve', '--demo'], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: gateway.stdout! })) {
      const port = /^serving at http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      env.PORT = port;
      break;
    }
    gateway.stdout!.resume();
  });

  afterAll(async () => {
    gateway.kill('SIGTERM');
    await once(gateway, 'exit');
    await rm(dataDir, { recursive: true, force: true });
  });

  /** Runs a block as a reader would paste it, against the gateway of this test. */
  async function paste(block: string): Promise<string> {
    const { stdout } = await run(
      'bash',
      ['-euo', 'pipefail', '-c', block.replaceAll(':8787', `:${env.PORT}`)],
      { cwd: root, env },
    );
    return stdout;
  }

  test('deploy, call and read the log of a function', async () => {
    const [byCommand] = commandsUnder('Deploy and call it');
    const said = await paste(byCommand!);
    expect(said).toContain('greet version 1');
    expect(said).toContain('Hello, Ada, from Python!');
    expect(said).toContain('greeting Ada');
  });

  test('do the same over HTTP, as an app would', async () => {
    const [, byHttp] = commandsUnder('Deploy and call it');
    const said = await paste(byHttp!);
    expect(said).toContain('"name":"double"');
    expect(said.trim().endsWith('42')).toBe(true);
  });

  test('and those of docs/versions.md: an alias, then a canary', async () => {
    const page = await readFile(join(root, 'docs/versions.md'), 'utf8');
    const [alias] = commandsUnder('Aliases', page);
    expect(await paste(alias!)).toContain('Hello');
    await paste('npx cronium deploy examples/hello.py --name greet --env GREETING=hey');
    const [canary] = commandsUnder('A canary', page);
    expect(await paste(canary!)).toMatch(/live.*1.*2/s);
  });
});
