import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What an attacker would like to find: on the host, and in no sandbox. */
export class HostBait {
  readonly #directory: string;
  readonly #victim: ChildProcess;
  readonly #servers: Server[];
  readonly #mark: string;
  readonly #port: number;

  private constructor(directory: string, victim: ChildProcess, servers: Server[], mark: string) {
    this.#directory = directory;
    this.#victim = victim;
    this.#servers = servers;
    this.#mark = mark;
    this.#port = (servers[0]!.address() as AddressInfo).port;
  }

  static async lay(): Promise<HostBait> {
    const mark = `bait${randomBytes(8).toString('hex')}`;
    const directory = mkdtempSync(join(tmpdir(), 'bait-'));
    writeFileSync(join(directory, mark), mark, { mode: 0o644 });
    const victim = spawn('sleep', ['1000'], { env: { PATH: process.env.PATH, MARK: mark }, stdio: 'ignore' });
    await once(victim, 'spawn');
    const servers = [createServer(), createServer()];
    await Promise.all([
      new Promise<void>((resolve) => servers[0]!.listen(0, '0.0.0.0', resolve)),
      new Promise<void>((resolve) => servers[1]!.listen(`\0${mark}`, resolve)),
    ]);
    return new HostBait(directory, victim, servers, mark);
  }

  /** What the attacker is told, with the mark backwards where finding it is the point. */
  get seenFromInside() {
    return {
      hostPort: this.#port,
      hostSocket: this.#mark,
      hostFile: join(this.#directory, this.#mark),
      hostMark: [...this.#mark].reverse().join(''),
      hostPid: this.#victim.pid,
    };
  }

  get isUntouched(): boolean {
    return this.#victim.exitCode === null && this.#victim.signalCode === null;
  }

  async remove(): Promise<void> {
    this.#victim.kill('SIGKILL');
    for (const server of this.#servers) await new Promise((resolve) => server.close(resolve));
    rmSync(this.#directory, { recursive: true });
  }
}
