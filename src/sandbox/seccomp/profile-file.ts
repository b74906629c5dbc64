import { chmod, lstat, mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ociProfileText } from './oci.ts';
import type { SeccompProfile } from './profile.ts';

const FILE = 'seccomp.json';

/** A profile for an engine: as text, or as a file where the engine takes the name of one, which it must be able to open. */
export class ProfileFile {
  readonly text: string;
  readonly #parent: string;
  readonly #prefix: string;
  #written: Promise<{ directory: string; path: string }> | undefined;

  /**
   * @param instanceId of the gateway that it is of, of which one runs at a time
   * @param parent where its directory is made
   */
  constructor(profile: SeccompProfile, instanceId: string, parent = tmpdir()) {
    this.text = ociProfileText(profile);
    this.#parent = parent;
    this.#prefix = `cronium-seccomp-${instanceId}-`;
  }

  /** Written when it is first asked for, where nobody else can put another in its place. */
  async path(): Promise<string> {
    this.#written ??= this.#write();
    return (await this.#written).path;
  }

  async remove(): Promise<void> {
    const written = await this.#written?.catch(() => undefined);
    if (written !== undefined) await removeDirectory(written.directory);
  }

  /** Removes what earlier runs of the same gateway left, which had no time to. */
  async sweep(): Promise<void> {
    const own = await this.#written?.catch(() => undefined);
    for (const name of await readdir(this.#parent)) {
      const directory = join(this.#parent, name);
      if (name.startsWith(this.#prefix) && directory !== own?.directory) await removeDirectory(directory);
    }
  }

  async #write() {
    const directory = await mkdtemp(join(this.#parent, this.#prefix));
    await chmod(directory, 0o755);
    const path = join(directory, FILE);
    await writeFile(path, this.text, { mode: 0o644 });
    return { directory, path };
  }
}

/** Anybody may give something in a directory for temporary files this name: what is not this user's own is left alone. */
async function removeDirectory(directory: string): Promise<void> {
  try {
    const { uid } = await lstat(directory);
    if (process.getuid !== undefined && uid !== process.getuid()) return;
    await rm(join(directory, FILE), { force: true });
    await rmdir(directory);
  } catch (error) {
    if (!EXPECTED.has((error as NodeJS.ErrnoException).code)) throw error;
  }
}

/** Somebody else was faster, or it is no directory of ours. */
const EXPECTED: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ENOTEMPTY']);
