import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { OWNER_LABEL } from '../sandbox/hardening.ts';

const imageView = z.object({ RepoTags: z.array(z.string()).nullish() });
const containerView = z.object({
  Id: z.string(),
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }),
});

export interface Sent {
  method: string;
  path: string;
  body?: Buffer | undefined;
  contentType?: string | undefined;
}

/** An answer, or the connection itself where the engine has handed it over. */
export type EngineAnswer = { response: IncomingMessage; upgraded?: { socket: Duplex; head: Buffer } };

/** The engine behind the proxy. Only what the proxy has written itself is sent to it. */
export class ProxiedEngine {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** @param signal gives the request up */
  send(
    { method, path, body, contentType }: Sent,
    signal: AbortSignal,
    upgrade = false,
  ): Promise<EngineAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>();
    const headers: Record<string, string> = { host: 'docker' };
    if (contentType !== undefined) headers['content-type'] = contentType;
    if (method === 'POST') headers['content-length'] = String(body?.byteLength ?? 0);
    if (upgrade) Object.assign(headers, { connection: 'Upgrade', upgrade: 'tcp' });
    const sent = request({ socketPath: this.#socketPath, method, path, headers, signal, agent: false });
    sent.on('response', (response) => resolve({ response }));
    sent.on('upgrade', (response, socket, head) => resolve({ response, upgraded: { socket, head } }));
    sent.on('error', reject);
    sent.end(body);
    return promise;
  }

  /** The tags of an image; none when there is no such image. */
  async tagsOf(image: string, signal: AbortSignal): Promise<readonly string[]> {
    const found = await this.#look(`/images/${image}/json`, signal);
    return found === undefined ? [] : (imageView.parse(found).RepoTags ?? []);
  }

  /** Whether a container is a gateway's sandbox; `undefined` when there is none of that name. */
  async isSandbox(container: string, signal: AbortSignal): Promise<boolean | undefined> {
    const found = await this.#look(`/containers/${container}/json`, signal);
    if (found === undefined) return undefined;
    return containerView.parse(found).Config.Labels?.[OWNER_LABEL] !== undefined;
  }

  async #look(path: string, signal: AbortSignal): Promise<unknown> {
    const { response } = await this.send({ method: 'GET', path }, signal);
    const found = await json(response);
    if (response.statusCode === 404) return undefined;
    if (response.statusCode !== 200) throw new Error(`the engine answered ${response.statusCode} to ${path}`);
    return found;
  }
}
