import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import type { Runtime } from '../core/event.ts';
import { GatewayError, messageOf } from '../errors.ts';
import { RUNTIME_LABEL } from './hardening.ts';

export interface ImagesOptions {
  /** The folder `runtimes/`, which is the build context. */
  runtimesDir: string;
  /** What each Dockerfile gets as `BASE`. */
  baseImages: Readonly<Record<Runtime, string>>;
  onProgress: (line: string) => void;
}

/** Steps and pulls; not the layer ids and download counters between them. */
const WORTH_SHOWING = /^(Step |STEP |Pulling from|Trying to pull|Status: |Successfully tagged)/;

interface ContextFile {
  path: string;
  content: Buffer;
  executable: boolean;
}

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
    this.#context ??= readContext(this.#options.runtimesDir);
    const files = await this.#context;
    const base = this.#options.baseImages[runtime];
    const tag = `cronium-runtime-${runtime}:${hashOf(files, base)}`;
    const found = await this.#find(tag);
    if (found !== undefined) return found;
    this.#options.onProgress(`building the ${runtime} sandbox image on ${base} (once)`);
    try {
      await this.#build(runtime, tag, files, base);
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

  async #find(tag: string): Promise<string | undefined> {
    try {
      return (await this.#docker.getImage(tag).inspect()).Id;
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined;
      throw error;
    }
  }

  async #build(runtime: Runtime, tag: string, files: readonly ContextFile[], base: string): Promise<void> {
    const pack = tar.pack();
    for (const { path, content, executable } of files) {
      pack.entry({ name: path, mode: executable ? 0o755 : 0o644, mtime: new Date(0) }, content);
    }
    pack.finalize();
    // The context as one buffer: it is small, and the library's type asks for a stream of the older kind.
    const output: NodeJS.ReadableStream = await this.#docker.buildImage(
      Readable.from([await buffer(pack)], { objectMode: false }),
      {
        t: tag,
        dockerfile: `${runtime}/Dockerfile`,
        buildargs: { BASE: base },
        labels: { [RUNTIME_LABEL]: runtime },
        rm: true,
        forcerm: true,
      },
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

async function readContext(dir: string): Promise<ContextFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.parentPath.includes('__pycache__'));
  const read = files.map(async (entry) => {
    const full = join(entry.parentPath, entry.name);
    const content = await readFile(full);
    // A script is known by its first bytes and not by its mode, which a checkout on Windows does not keep.
    return {
      path: relative(dir, full).replaceAll('\\', '/'),
      content,
      executable: content.subarray(0, 2).toString() === '#!',
    };
  });
  const context = await Promise.all(read);
  return context.filter(({ path }) => !path.endsWith('.md')).sort((a, b) => (a.path < b.path ? -1 : 1));
}

function hashOf(files: readonly ContextFile[], base: string): string {
  const hash = createHash('sha256').update(`${base}\0`);
  for (const { path, content } of files) hash.update(`${path}\0${content.byteLength}\0`).update(content);
  return hash.digest('hex').slice(0, 16);
}
