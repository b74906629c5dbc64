import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';

/**
 * Preloaded into a gateway by `--import`: ends it as SIGKILL does, just before or just after it asks its database something. So every
 * step between accepting work and keeping its result can be the last one. `KILL_AT` is JSON of a `KillPoint`.
 */
export interface KillPoint {
  /** `after`: the database has done it, and the gateway does not know yet. */
  when: 'before' | 'after';
  /** Regular expression, of the SQL. */
  sql: string;
  /** Not counted before this was asked; the same kind of expression. */
  since?: string;
  /** The how-manieth that matches, from 1. */
  nth: number;
}

const wanted = process.env.KILL_AT;
if (wanted !== undefined) killAt(JSON.parse(wanted) as KillPoint);

function killAt({ when, sql, since, nth }: KillPoint): void {
  const pattern = new RegExp(sql, 'i');
  const first = since === undefined ? undefined : new RegExp(since, 'i');
  let counts = first === undefined;
  let seen = 0;
  const isIt = (text: unknown) => {
    if (typeof text !== 'string') return false;
    counts ||= first?.test(text) === true;
    return counts && pattern.test(text) && ++seen === nth;
  };
  const die = () => process.kill(process.pid, 'SIGKILL');

  /** Runs what asks the database, and ends the process at its side of it. */
  const around = <T>(text: unknown, ask: () => T): T => {
    if (!isIt(text)) return ask();
    if (when === 'before') die();
    const answer = ask();
    if (answer instanceof Promise) return answer.finally(die) as T;
    die();
    return answer;
  };

  const { prepare, exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (text) {
    return around(text, () => exec.call(this, text));
  };
  DatabaseSync.prototype.prepare = function (text, ...options) {
    const statement = prepare.call(this, text, ...options);
    for (const method of ['run', 'all', 'get'] as const) {
      const original = statement[method].bind(statement) as (...values: unknown[]) => unknown;
      Object.assign(statement, {
        [method]: (...values: unknown[]) => around(text, () => original(...values)),
      });
    }
    return statement;
  };

  const query = pg.Client.prototype.query as (...args: unknown[]) => unknown;
  Object.assign(pg.Client.prototype, {
    query(this: pg.Client, ...args: unknown[]) {
      const [first] = args;
      const text = typeof first === 'object' && first !== null && 'text' in first ? first.text : first;
      return around(text, () => query.apply(this, args));
    },
  });
}
