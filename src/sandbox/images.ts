import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { Runtime } from '../core/event.ts';
import { GatewayError, messageOf } from '../errors.ts';
import { type ContextFile, type ImageRecipe, packContext, readContext, recipeOf } from './image-recipe.ts';

export interface ImagesOptions {
  /** The folder `runtimes/`, which is the build context. */
  runtimesDir: string;
  /** What each Dockerfile gets as `BASE`. */
  baseImages: Readonly<Record<Runtime, string>>;
  onProgress: (line: string) => void;
}

/** Steps and pulls; not the layer ids and download counters between them. */
const WORTH_SHOWING = /^(Step |STEP |Pulling from|Trying to pull|Status: |Successfully tagged)/;

/**
 * The images of the runtimes, built from runtimes/<runtime>/Dockerfile when they are not there. A tag is the hash of all that
 * goes into the image, so that a changed agent is never served by an image of the old one.
 */
export class Images {
  readonly #docker: Docker;
  readonly #options: ImagesOptions;
  readonly #builds = new Map<Runtime, Promise<string>>();
  #context: Promise<ContextFile[]> | undefined;

  constructor(docker: Docker, options: ImagesOptions) {
    this.#docker = docker;
    this.#options = options;
  }

  /**
   * The id of an image that is there (`sha256:` and the digest of its configuration), built first if need be; one build at a time per runtime.
   * @throws GatewayError `isolation_unavailable` when it cannot be built, with the engine's reason
   */
  ensure(runtime: Runtime): Promise<string> {
    let build = this.#builds.get(runtime);
    if (build === undefined) {
      build = this.#ensure(runtime);
      this.#builds.set(runtime, build);
      build.catch(() => this.#builds.delete(runtime));
    }
    return build;
  }

  /** Looks again at the next `ensure`: the image has been removed under the gateway. */
  forget(runtime: Runtime): void {
    this.#builds.delete(runtime);
  }

  async #ensure(runtime: Runtime): Promise<string> {
    const files = await this.#readContext();
    const base = this.#options.baseImages[runtime];
    const recipe = recipeOf(runtime, files, base);
    const { tag } = recipe;
    const found = await this.#find(tag);
    if (found !== undefined) return found;
    this.#options.onProgress(`building the ${runtime} sandbox image on ${base} (once)`);
    try {
      await this.#build(recipe, files);
      const built = await this.#find(tag);
      if (built === undefined) throw new Error(`there is no ${tag} after its build`);
      return built;
    } catch (error) {
      const variable = runtime === 'nodejs' ? 'NODE_BASE_IMAGE' : 'PYTHON_BASE_IMAGE';
      const remedy = `Is ${base} to be had? ${variable} names another base image.`;
      const message = `The ${runtime} sandbox image could not be built: ${messageOf(error)}. ${remedy}`;
      throw new GatewayError('isolation_unavailable', message, { cause: error });
    }
  }

  /** Once: it is the same for all. A read that failed, as for want of descriptors, is no answer for ever. */
  #readContext(): Promise<ContextFile[]> {
    this.#context ??= readContext(this.#options.runtimesDir).catch((error) => {
      this.#context = undefined;
      throw error;
    });
    return this.#context;
  }

  async #find(tag: string): Promise<string | undefined> {
    try {
      return (await this.#docker.getImage(tag).inspect()).Id;
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined;
      throw error;
    }
  }

  async #build({ tag, ...recipe }: ImageRecipe, files: readonly ContextFile[]): Promise<void> {
    const context = await packContext(files);
    // The context as one buffer: it is small, and the library's type asks for a stream of the older kind.
    const output: NodeJS.ReadableStream = await this.#docker.buildImage(
      Readable.from([context], { objectMode: false }),
      { t: tag, ...recipe, rm: true, forcerm: true },
    );
    await new Promise<void>((resolve, reject) => {
      this.#docker.modem.followProgress(
        output,
        (error) => (error ? reject(error) : resolve()),
        (event: { stream?: string; status?: string; error?: string }) => {
          // A build that fails is a line in an answer that has begun with 200, and the library takes it for any other line.
          if (event.error !== undefined) reject(new Error(event.error.trim()));
          const line = (event.stream ?? event.status ?? '').trim();
          if (WORTH_SHOWING.test(line)) this.#options.onProgress(`  ${line}`);
        },
      );
    });
  }
}
