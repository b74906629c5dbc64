import { DatabaseSync } from 'node:sqlite';

/**
 * Holds a file until disposed. An open transaction of SQLite is a lock that the system takes back when the process dies, however
 * it dies.
 * @param timeoutMs how long to wait for another holder
 * @throws Error whose message has `locked` in it when another one holds it
 */
export function lockFile(path: string, timeoutMs = 0): Disposable {
  const lock = new DatabaseSync(path, { timeout: timeoutMs });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return { [Symbol.dispose]: () => lock.close() };
  } catch (error) {
    lock.close();
    throw error;
  }
}
