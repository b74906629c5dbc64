import type { ClaimResult, IdempotencyStore, KeptAnswer, KeyClaim } from '../core/idempotency.ts';
import type { Database, IdempotencyKeyTable } from './schema.ts';

/** A key may go between being refused and being read: whoever has it then releases it. */
const TRIES = 5;

export function createIdempotencyStore(db: Database, now: () => Date): IdempotencyStore {
  /** One statement, so that of several at once the database chooses one. */
  const take = async ({ key, fingerprint, invocationId, leaseMs, ttlMs }: KeyClaim): Promise<boolean> => {
    const at = now().getTime();
    const rest: Omit<IdempotencyKeyTable, 'key'> = {
      fingerprint,
      invocation_id: invocationId,
      lease_until: at + leaseMs,
      expires_at: at + Math.max(leaseMs, ttlMs),
      answer: null,
      body: null,
    };
    const taken = await db
      .insertInto('idempotency_keys')
      .values({ key, ...rest })
      .onConflict((conflict) =>
        conflict
          .column('key')
          .doUpdateSet(rest)
          .where(({ and, eb, or }) =>
            or([
              eb('idempotency_keys.expires_at', '<=', at),
              // Whoever had it died: the same request may try again, and another one is still told that it is another.
              and([
                eb('idempotency_keys.answer', 'is', null),
                eb('idempotency_keys.lease_until', '<=', at),
                eb('idempotency_keys.fingerprint', '=', fingerprint),
              ]),
            ]),
          ),
      )
      .executeTakeFirst();
    return taken.numInsertedOrUpdatedRows === 1n;
  };

  const read = async ({ key, fingerprint }: KeyClaim): Promise<ClaimResult | undefined> => {
    const row = await db.selectFrom('idempotency_keys').selectAll().where('key', '=', key).executeTakeFirst();
    if (row === undefined) return undefined;
    if (row.fingerprint !== fingerprint) return { state: 'mismatch' };
    if (row.answer === null) return { state: 'running', invocationId: row.invocation_id };
    return { state: 'answered', answer: toAnswer(row.answer, row.body) };
  };

  return {
    async claim(claim) {
      for (let tries = 0; tries < TRIES; tries++) {
        if (await take(claim)) return { state: 'granted' };
        const found = await read(claim);
        if (found !== undefined) return found;
      }
      return { state: 'running', invocationId: claim.invocationId };
    },

    async keep({ key, invocationId, ttlMs }, answer) {
      const { text, body } = fromAnswer(answer);
      const kept = await db
        .updateTable('idempotency_keys')
        .set({ answer: text, body, expires_at: now().getTime() + ttlMs })
        .where('key', '=', key)
        .where('invocation_id', '=', invocationId)
        .where('answer', 'is', null)
        .executeTakeFirst();
      return kept.numUpdatedRows === 1n;
    },

    async release({ key, invocationId }) {
      await db
        .deleteFrom('idempotency_keys')
        .where('key', '=', key)
        .where('invocation_id', '=', invocationId)
        .where('answer', 'is', null)
        .execute();
    },

    async pruneExpired(limit) {
      const at = now().getTime();
      const expired = db
        .selectFrom('idempotency_keys')
        .select('key')
        .where('expires_at', '<=', at)
        .orderBy('expires_at')
        .limit(limit);
      const pruned = await db
        .deleteFrom('idempotency_keys')
        .where('key', 'in', expired)
        // Again, because a key may be claimed anew since it was chosen.
        .where('expires_at', '<=', at)
        .executeTakeFirst();
      return Number(pruned.numDeletedRows);
    },
  };
}

/** The body beside the rest, as base64: both databases hold that. */
function fromAnswer(answer: KeptAnswer): { text: string; body: string | null } {
  if (answer.kind !== 'response') return { text: JSON.stringify(answer), body: null };
  const { body, ...rest } = answer;
  return { text: JSON.stringify(rest), body: Buffer.from(body).toString('base64') };
}

function toAnswer(text: string, body: string | null): KeptAnswer {
  const answer = JSON.parse(text) as KeptAnswer;
  return answer.kind === 'response' ? { ...answer, body: Buffer.from(body ?? '', 'base64') } : answer;
}
