import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Followed, follow } from '../../src/cli/follow.ts';

const item = (n: number, status = 'succeeded', ageMs = 0): Followed => ({
  id: `id-${String(n).padStart(6, '0')}`,
  status,
  createdAt: new Date(Date.now() - ageMs).toISOString(),
});

/** Follows records that the test changes, page by page as the gateway serves them, until the step returns false. */
async function followed(records: Followed[], step: (poll: number) => boolean, last = 10): Promise<string[]> {
  const stop = new AbortController();
  const printed: string[] = [];
  let polls = 0;
  await follow({
    last,
    longestMs: 60_000,
    pollMs: 1,
    signal: stop.signal,
    print: ({ id }) => printed.push(id),
    onTrouble: () => {},
    async fetchPage(cursor) {
      if (cursor === undefined && !step(polls++)) stop.abort();
      const older = records.filter(({ id }) => cursor === undefined || id < cursor);
      const items = older.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, 3);
      return { items: [...items], nextCursor: older.length > 3 ? items.at(-1)!.id : null };
    },
  });
  return printed;
}

describe('following the invocations of an event', () => {
  test('prints the last of the past first, however old, and nothing of the rest of it', async () => {
    const records = [1, 2, 3, 4, 5].map((n) => item(n, 'succeeded', 3_600_000));
    expect(await followed(records, (poll) => poll < 12, 2)).toEqual(['id-000004', 'id-000005']);
  });

  test('prints each new one once and in order, also when several pages came at once', async () => {
    const records = [item(1)];
    const printed = await followed(records, (poll) => {
      if (poll === 2) for (let n = 2; n < 12; n++) records.push(item(n));
      return poll < 25;
    });
    expect(printed).toEqual(Array.from({ length: 11 }, (_, n) => item(n + 1).id));
  });

  test('prints one that took long when it ends, behind pages of later ones', async () => {
    const slow = item(1, 'running');
    const records = [slow];
    const printed = await followed(records, (poll) => {
      if (poll === 1) for (let n = 2; n < 12; n++) records.push(item(n));
      if (poll === 3) slow.status = 'timed_out';
      return poll < 25;
    });
    expect(printed).toHaveLength(11);
    expect(printed.at(-1)).toBe(slow.id);
  });
});

describe('cronium logs -f', () => {
  let records: object[];
  let down: boolean;
  let server: ReturnType<typeof createServer>;
  let cli: ChildProcess;
  let output: string;
  let complaints: string;

  beforeEach(async () => {
    records = [];
    down = false;
    output = '';
    complaints = '';
    server = createServer((request, response) => {
      if (down) return request.socket.destroy();
      const isList = request.url?.includes('/invocations');
      response.end(JSON.stringify(isList ? { items: records, nextCursor: null } : { timeoutMs: 1_000 }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    cli = spawn(
      process.execPath,
      ['src/cli/main.ts', 'logs', '-f', 'hello', '--url', url, '--token', 'any'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    cli.stdout!.on('data', (chunk) => {
      output += chunk;
    });
    cli.stderr!.on('data', (chunk) => {
      complaints += chunk;
    });
  });
  afterEach(async () => {
    cli.kill('SIGKILL');
    server.close();
    server.closeAllConnections();
  });

  const record = (n: number) => ({
    ...item(n),
    start: 'warm',
    statusCode: 200,
    phases: {},
    error: null,
    logs: `line ${n}\n`,
    logsTruncated: false,
  });

  test('prints what comes, goes on after a gateway that was away, and ends cleanly on Ctrl-C', async () => {
    records.unshift(record(1));
    await expect.poll(() => output, { timeout: 10_000 }).toContain('line 1\n');
    down = true;
    await expect.poll(() => complaints, { timeout: 10_000 }).toContain('trying again');
    down = false;
    records.unshift(record(2));
    await expect.poll(() => output, { timeout: 10_000 }).toContain('line 2\n');
    cli.kill('SIGINT');
    expect(await once(cli, 'exit')).toEqual([0, null]);
    expect(output.match(/line \d/g)).toEqual(['line 1', 'line 2']);
  });
});
