import Docker from 'dockerode';
import { eventuallyNone } from '../traces.ts';

const LABEL = 'cronium.test';

/** A copy of an image under a name of its own, whose build steps no cache has; removed with all that was built on it. */
export class BaseImage implements AsyncDisposable {
  readonly name: string;
  readonly #docker = new Docker();
  readonly #filters: { label: string[] };

  private constructor(tag: string) {
    this.name = `cronium-test/base:${tag}`;
    this.#filters = { label: [`${LABEL}=${tag}`] };
  }

  static async copyOf(image: string): Promise<BaseImage> {
    const tag = `${process.pid}-${Date.now()}`;
    const copy = new BaseImage(tag);
    const container = await copy.#docker.createContainer({ Image: image, Cmd: ['true'] });
    try {
      await container.commit({ repo: 'cronium-test/base', tag, changes: `LABEL ${LABEL}=${tag}` });
    } finally {
      await container.remove();
    }
    return copy;
  }

  /** Containers of the image and of what was built on it, after a while for those that are on their way out. */
  containers(): Promise<string[]> {
    return eventuallyNone(async () => {
      const found = await this.#docker.listContainers({ all: true, filters: this.#filters });
      return found.map(({ Id, Command }) => `container ${Id.slice(0, 12)}: ${Command}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tagged = await this.#docker.listImages({ filters: this.#filters });
    const names = tagged.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => name !== '<none>:<none>');
    // What is built on another goes first.
    for (const name of names.sort((a) => (a === this.name ? 1 : -1))) {
      await this.#docker.getImage(name).remove({ force: true });
    }
    await this.#docker.pruneImages({ filters: { ...this.#filters, dangling: ['true'] } });
  }
}
