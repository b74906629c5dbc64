import { Kysely, sql } from 'kysely';
import type { Store } from '../core/store.ts';
import { createEventStore } from './events.ts';
import { createInvocationStore } from './invocations.ts';
import { migrate } from './migrate.ts';
import type { Database, Schema } from './schema.ts';
import { createSecretBox, type SecretBox } from './secret-box.ts';
import { sqliteDialect } from './sqlite.ts';

export interface StoreOptions {
  /** The database's file, made when there is none; `:memory:` for one that goes with the process. */
  path: string;
  /** 32 bytes that encrypt the secrets of events. */
  secretsKey: Uint8Array;
  now?: () => Date;
}

/**
 * Opens the database and brings its schema up to date.
 * @throws SecretsKeyError when the database was made with another key
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const box = createSecretBox(options.secretsKey);
  const db = new Kysely<Schema>({ dialect: sqliteDialect(options.path) });
  try {
    await migrate(db);
    await checkKey(db, box);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    events: createEventStore(db, box, options.now ?? (() => new Date())),
    invocations: createInvocationStore(db),
    async ping() {
      await sql`select 1`.execute(db);
    },
    [Symbol.asyncDispose]() {
      closed ??= db.destroy();
      return closed;
    },
  };
}

/** A wrong key is found at start and not at the first call of a function: the database holds something to try it on. */
async function checkKey(db: Database, box: SecretBox): Promise<void> {
  const key = 'secrets_key_check';
  await db
    .insertInto('meta')
    .values({ key, value: box.seal('cronium', key) })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
  const { value } = await db
    .selectFrom('meta')
    .select('value')
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  box.open(value, key);
}
