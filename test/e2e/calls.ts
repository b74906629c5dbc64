import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ALL_SCOPES } from '../../src/cli/access.ts';
import { signToken } from '../../src/http/tokens.ts';

const DEADLINE_MS = 30_000;

/** Says that it runs, and answers after a while. */
export const SLOW = 'echo begun >&2; sleep 2; echo finished';
/** Never answers. */
export const ENDLESS = 'echo begun >&2; sleep 600';

/** A user of a gateway whose secret lies in this DATA_DIR. */
export class Caller {
  readonly url: string;
  readonly #token: string;

  private constructor(url: string, token: string) {
    this.url = url;
    this.#token = token;
  }

  static async of(url: string, dataDir: string): Promise<Caller> {
    const secret = readFileSync(join(dataDir, 'jwt-secret'), 'utf8').trim();
    return new Caller(url, await signToken({ sub: 'local', scope: ALL_SCOPES, ttlSeconds: 600 }, secret));
  }

  fetch(path: string, init: RequestInit = {}, more: Record<string, string> = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json', ...more };
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  async deploy(name: string, code: string, runtime = 'bash'): Promise<void> {
    const body = JSON.stringify({ name, runtime, code });
    const response = await this.fetch('/v1/events', { method: 'POST', body });
    if (response.status !== 201) throw new Error(await response.text());
  }

  /** Calls an event and resolves, with its answer on the way, once the function runs. */
  async begin(name: string): Promise<{ response: Promise<Response> }> {
    const response = this.fetch(`/e/${name}`);
    response.catch(() => {});
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(10)) {
      const pools = (await (await this.fetch('/v1/pools')).json()) as { items: { taken: number }[] };
      if (pools.items.some(({ taken }) => taken > 0)) return { response };
    }
    throw new Error(`${name} never began`);
  }
}
