import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 as uuidv7 } from 'uuid';
import { GroupCommit } from '../src/core/queue/group-commit.ts';
import { openStore } from '../src/store/store.ts';
import { findPostgres, startPostgres } from '../test/postgres.ts';
import { BenchGateway } from './gateway.ts';
import { benchEvent, benchRequest, type ClaimRate, claimRates } from './queue.ts';
import type { RawClient } from './raw-client.ts';
import { pause, roundsPerSecond, type Summary, summarize } from './stats.ts';

/** How fast work is taken that nobody waits for, one after another and from many connections at once. */
export interface Accepting {
  oneByOne: Summary;
  connections: number;
  perSecond: number;
}

export interface DurableResult {
  /** Signed webhooks, to a real gateway on SQLite. */
  gateway: Accepting;
  /** The same rows into the same database, by the same code, without HTTP, signatures and a process of their own. */
  bare: Accepting;
  /** By database. */
  claims: { database: string; rates: ClaimRate[] }[];
}

export interface DurableSize {
  oneByOne: number;
  loadMs: number;
  backlogs: readonly number[];
  claims: number;
}

export const DURABLE_SIZES: Readonly<Record<'trial' | 'quick' | 'full', DurableSize>> = {
  trial: { oneByOne: 20, loadMs: 200, backlogs: [10, 100], claims: 20 },
  quick: { oneByOne: 200, loadMs: 2_000, backlogs: [10, 1_000, 10_000], claims: 200 },
  full: { oneByOne: 1_000, loadMs: 8_000, backlogs: [10, 100, 1_000, 10_000, 100_000], claims: 1_000 },
};

const CONNECTIONS = 32;
const WARM_UP = 200;
const PAUSE_MS = 2;
const KEY = Buffer.alloc(32, 1);
const BODY = JSON.stringify({ type: 'order.paid', data: { order: 42, items: ['a'.repeat(400)] } });
/** Accepts and runs nothing: what is accepted stays where it is. */
const ACCEPTING_ONLY = {
  MAX_ASYNC_EXECUTIONS: '0',
  POOL_MIN: '0',
  POOL_TARGET: '0',
};

export async function measureDurable(size: DurableSize, say: (line: string) => void): Promise<DurableResult> {
  say('durable work: a gateway that accepts');
  const gateway = await gatewayAccepts(size);
  say('durable work: the bare inserts');
  const bare = await bareAccepts(size);
  const claims: DurableResult['claims'] = [];
  say('durable work: claims on SQLite');
  await inFolder(async (path) => {
    claims.push({ database: 'SQLite', rates: await claimRates({ path }, size.backlogs, size.claims) });
  });
  const bin = findPostgres();
  if (bin === undefined) say('Postgres is left out: there is no server here');
  else {
    say('durable work: claims on Postgres');
    await using server = await startPostgres(bin);
    const url = await server.createDatabase();
    claims.push({ database: 'Postgres', rates: await claimRates({ url }, size.backlogs, size.claims) });
  }
  return { gateway, bare, claims };
}

async function gatewayAccepts({ oneByOne, loadMs }: DurableSize): Promise<Accepting> {
  const gateway = await BenchGateway.start('bubblewrap', ACCEPTING_ONLY);
  const clients: RawClient[] = [];
  // Not before it is used: one that is idle for long is closed.
  const clientOf = (worker: number) => (clients[worker] ??= gateway.connect());
  try {
    const auth = { type: 'webhook', scheme: 'standard', secret: `whsec_${KEY.toString('base64')}` };
    await gateway.deploy({ name: 'hook', runtime: 'bash', code: 'true', auth });
    const send = async (worker: number) => {
      const { status, ms } = await clientOf(worker).request(signedRequest());
      if (status !== 202) throw new Error(`a webhook was answered with ${status}`);
      return ms;
    };
    // What is compiled only now must not count.
    for (let n = 0; n < WARM_UP; n++) await send(0);
    return await accepting(
      oneByOne,
      loadMs,
      () => send(0),
      async (worker) => {
        await send(worker);
      },
    );
  } finally {
    for (const client of clients) client.close();
    await gateway.stop();
  }
}

function bareAccepts({ oneByOne, loadMs }: DurableSize): Promise<Accepting> {
  return inFolder(async (path) => {
    await using store = await openStore({ path, secretsKey: randomBytes(32) });
    const event = await benchEvent(store, 'bench');
    const commit = new GroupCommit({ queue: store.queue, admit: async () => {}, onEnqueued: () => {} });
    const insert = async () => {
      const id = uuidv7();
      const dedup = { scope: event.id, key: id, ttlMs: 86_400_000 };
      const beganAt = performance.now();
      await commit.enqueue({ ...benchRequest(event, { body: BODY }), id, dedup });
      return performance.now() - beganAt;
    };
    return await accepting(oneByOne, loadMs, insert, async () => {
      await insert();
    });
  });
}

async function accepting(
  oneByOne: number,
  loadMs: number,
  one: () => Promise<number>,
  round: (worker: number) => Promise<void>,
): Promise<Accepting> {
  const times: number[] = [];
  for (let n = 0; n < oneByOne; n++) {
    times.push(await one());
    await pause(PAUSE_MS);
  }
  const perSecond = await roundsPerSecond(CONNECTIONS, loadMs, round);
  return { oneByOne: summarize(times), connections: CONNECTIONS, perSecond };
}

function signedRequest(): string {
  const id = `msg_${uuidv7()}`;
  const timestamp = Math.floor(Date.now() / 1_000);
  // Not the library's: it hashes in JavaScript, on the processor that the gateway needs, too.
  const signature = createHmac('sha256', KEY).update(`${id}.${timestamp}.${BODY}`).digest('base64');
  const head = [
    'POST /e/hook HTTP/1.1',
    'Host: bench',
    'Content-Type: application/json',
    `Content-Length: ${BODY.length}`,
    `webhook-id: ${id}`,
    `webhook-timestamp: ${timestamp}`,
    `webhook-signature: v1,${signature}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${BODY}`;
}

async function inFolder<T>(run: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cronium-bench-'));
  try {
    return await run(join(folder, 'cronium.db'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
