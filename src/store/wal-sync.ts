import { close, fdatasync, open } from 'node:fs';
import { promisify } from 'node:util';
import { unavailable } from './unavailable.ts';

const openFile = promisify(open);
const syncFile = promisify(fdatasync);

/**
 * Makes commits of a SQLite database with WAL and `synchronous = NORMAL` durable. A commit appends to the log and leaves the file to
 * the system; with FULL SQLite would sync the log within the commit, and stop the process for as long as the disk takes. Synced here,
 * by another thread, nobody waits but those who asked. A checkpoint before the sync has synced log and database itself.
 */
export class WalSync {
  readonly #path: string;
  #fd: Promise<number> | undefined;

  constructor(databasePath: string) {
    this.#path = `${databasePath}-wal`;
  }

  async sync(): Promise<void> {
    if (this.#path === ':memory:-wal') return;
    try {
      // The log is there from the first write to the end of the connection, always the same file.
      this.#fd ??= openFile(this.#path, 'r');
      await syncFile(await this.#fd);
    } catch (error) {
      this.close();
      throw unavailable(error);
    }
  }

  close(): void {
    this.#fd?.then(
      (fd) => close(fd, () => {}),
      () => {},
    );
    this.#fd = undefined;
  }
}
