import { z } from 'zod';
import { OWNER_LABEL } from '../sandbox/hardening.ts';
import type { MatchedCall } from './calls.ts';
import { type AllowedProfiles, CONTAINER_NAME, sandboxContainerSchema } from './container-policy.ts';
import type { ProxiedEngine } from './engine.ts';
import type { OwnImages } from './own-images.ts';

/** What is not let through, and why. */
export class Denied extends Error {
  override readonly name = 'Denied';
}

const CREATED = z.object({ Id: z.string() });
const filters = z.strictObject({ label: z.array(z.string()).length(1) });

/** Decides on calls by what is in them, with the engine's help where a name must be looked up. */
export class Policy {
  readonly #engine: ProxiedEngine;
  readonly #images: OwnImages;
  readonly #container: ReturnType<typeof sandboxContainerSchema>;
  /** Ids of containers that are known to be a gateway's; removed ones are forgotten. */
  readonly #sandboxes = new Set<string>();
  /** Ids of images that are known to be a gateway's. */
  readonly #known = new Set<string>();

  constructor(engine: ProxiedEngine, images: OwnImages, profiles: AllowedProfiles) {
    this.#engine = engine;
    this.#images = images;
    this.#container = sandboxContainerSchema(profiles);
  }

  /**
   * @param body whole, of the calls that have one
   * @throws Denied
   */
  async demandAllowed({ call, name, query }: MatchedCall, body: Buffer, signal: AbortSignal): Promise<void> {
    switch (call) {
      case '/info':
      case '/version':
      case '/images/{image}/json':
        return;
      case '/build': {
        const fault = this.#images.buildFault(query, body);
        if (fault !== undefined) throw new Denied(fault);
        return;
      }
      case '/containers/json':
        return demandOwnList(query);
      case '/containers/create':
        return this.#demandSandbox(query.get('name'), body, signal);
      case '/containers/{id}/attach':
      case '/containers/{id}/start':
      case '/containers/{id}/json':
      case '/containers/{id}':
        return this.#demandOwn(name, signal);
    }
  }

  /** Remembers what was created, so that the engine need not be asked of it again. */
  created(answer: Buffer): void {
    const { data } = CREATED.safeParse(parsed(answer));
    if (data !== undefined) this.#sandboxes.add(data.Id);
  }

  removed(container: string): void {
    this.#sandboxes.delete(container);
  }

  async #demandSandbox(name: string | null, body: Buffer, signal: AbortSignal): Promise<void> {
    if (!CONTAINER_NAME.test(name ?? '')) throw new Denied(`name must be that of a sandbox, cronium-…`);
    const { data, error } = this.#container.safeParse(parsed(body));
    if (error !== undefined) {
      const [issue] = error.issues;
      throw new Denied(`the container is no sandbox: ${issue?.path.join('.')}: ${issue?.message}`);
    }
    if (this.#known.has(data.Image)) return;
    const tags = await this.#engine.tagsOf(data.Image, signal);
    if (!tags.some((tag) => this.#images.tags.has(tag)))
      throw new Denied(
        'the container is no sandbox: Image: is not one of the sandbox images of this version',
      );
    this.#known.add(data.Image);
  }

  async #demandOwn(container: string, signal: AbortSignal): Promise<void> {
    if (this.#sandboxes.has(container)) return;
    // Of what is not there the engine says so itself.
    if ((await this.#engine.isSandbox(container, signal)) === false)
      throw new Denied(`the container ${container.slice(0, 64)} is not a gateway's`);
  }
}

function demandOwnList(query: URLSearchParams): void {
  const { data } = filters.safeParse(parsed(query.get('filters') ?? ''));
  if (data?.label[0]?.startsWith(`${OWNER_LABEL}=`)) return;
  throw new Denied(`filters must ask for the label ${OWNER_LABEL} of one gateway and nothing else`);
}

function parsed(text: Buffer | string): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}
