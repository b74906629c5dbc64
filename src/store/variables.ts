import { v7 as uuidv7 } from 'uuid';
import {
  VARIABLE_NAME,
  type Variable,
  type VariableQuota,
  type VariableStore,
  type VariableSummary,
} from '../core/variables.ts';
import { GatewayError } from '../errors.ts';
import { checkCursor } from './cursor.ts';
import type { Database, VariableTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

interface Usage {
  count: number;
  bytes: number;
}

/** Variables in SQL, sealed as secrets are: people put tokens there. */
export function createVariableStore(db: Database, box: SecretBox, now: () => Date): VariableStore {
  const find = async (on: Database, ownerId: string, name: string): Promise<Variable | undefined> => {
    const row = await on
      .selectFrom('variables')
      .selectAll()
      .where('owner_id', '=', ownerId)
      .where('name', '=', name)
      .executeTakeFirst();
    return row && { ...summaryOf(row), name, json: box.open(row.value, contextOf(ownerId, name)) };
  };

  const write = async (on: Database, ownerId: string, variable: Variable): Promise<void> => {
    const { name, json, revision, updatedAt } = variable;
    const row = {
      value: box.seal(json, contextOf(ownerId, name)),
      bytes: Buffer.byteLength(json),
      revision,
      updated_at: updatedAt.getTime(),
    };
    await on
      .insertInto('variables')
      .values({ owner_id: ownerId, name, ...row })
      .onConflict((conflict) => conflict.columns(['owner_id', 'name']).doUpdateSet(row))
      .execute();
  };

  return {
    get: (ownerId, name) => find(db, ownerId, name),

    async list(ownerId, { limit, cursor }) {
      checkCursor(cursor, VARIABLE_NAME);
      let query = db
        .selectFrom('variables')
        .select(['name', 'bytes', 'revision', 'updated_at'])
        .where('owner_id', '=', ownerId);
      if (cursor !== undefined) query = query.where('name', '>', cursor);
      const rows = await query
        .orderBy('name')
        .limit(limit + 1)
        .execute();
      const items = rows.slice(0, limit).map(summaryOf);
      return { items, nextCursor: rows.length > limit ? (items.at(-1)?.name ?? null) : null };
    },

    change(ownerId, name, change, quota) {
      return db.transaction().execute(async (tx) => {
        const usage = await lockedUsage(tx, ownerId);
        const before = await find(tx, ownerId, name);
        const json = change(before);
        const used = {
          count: usage.count + Number(json !== undefined) - Number(before !== undefined),
          bytes: usage.bytes + sizeOf(name, json) - sizeOf(name, before?.json),
        };
        checkQuota(usage, used, quota);
        await tx.updateTable('variable_usage').set(used).where('owner_id', '=', ownerId).execute();
        if (json === undefined) {
          await tx.deleteFrom('variables').where('owner_id', '=', ownerId).where('name', '=', name).execute();
          return { before, after: undefined };
        }
        const after = { name, json, revision: uuidv7(), updatedAt: now() };
        await write(tx, ownerId, after);
        return { before, after };
      });
    },
  };
}

/** Written before it is read: where writers are concurrent, this row lock makes them wait for one another. */
async function lockedUsage(tx: Database, ownerId: string): Promise<Usage> {
  await tx
    .insertInto('variable_usage')
    .values({ owner_id: ownerId, count: 0, bytes: 0 })
    .onConflict((conflict) =>
      conflict.column('owner_id').doUpdateSet((eb) => ({ count: eb.ref('variable_usage.count') })),
    )
    .execute();
  const { count, bytes } = await tx
    .selectFrom('variable_usage')
    .select(['count', 'bytes'])
    .where('owner_id', '=', ownerId)
    .executeTakeFirstOrThrow();
  return { count, bytes: Number(bytes) };
}

/** A quota that was lowered since keeps nobody from writing less. */
function checkQuota(before: Usage, after: Usage, { maxCount, maxBytes }: VariableQuota): void {
  const remedy = 'remove some that are not needed';
  if (after.count > maxCount && after.count > before.count) {
    throw new GatewayError(
      'variable_quota_exceeded',
      `A user may keep ${maxCount} variables (MAX_VARIABLES); ${remedy}`,
    );
  }
  if (after.bytes > maxBytes && after.bytes > before.bytes) {
    throw new GatewayError(
      'variable_quota_exceeded',
      `The variables of a user may take ${maxBytes} bytes together (MAX_VARIABLES_BYTES); ${remedy}`,
    );
  }
}

/** A name has no colon: no two variables have the same. */
const contextOf = (ownerId: string, name: string) => `variable:${name}:${ownerId}`;

const sizeOf = (name: string, json: string | undefined) =>
  json === undefined ? 0 : name.length + Buffer.byteLength(json);

function summaryOf(row: Pick<VariableTable, 'name' | 'bytes' | 'revision' | 'updated_at'>): VariableSummary {
  return {
    name: row.name,
    bytes: row.bytes,
    revision: row.revision,
    updatedAt: new Date(Number(row.updated_at)),
  };
}
