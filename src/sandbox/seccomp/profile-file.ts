import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ociProfileText } from './oci.ts';
import type { SeccompProfile } from './profile.ts';

/** A profile for an engine: as text, or as a file where the engine takes the name of one, which it must be able to open. */
export class ProfileFile {
  readonly text: string;
  #written: Promise<{ directory: string; path: string }> | undefined;

  constructor(profile: SeccompProfile) {
    this.text = ociProfileText(profile);
  }

  /** Written when it is first asked for, where nobody else can put another in its place. */
  async path(): Promise<string> {
    this.#written ??= this.#write();
    return (await this.#written).path;
  }

  async remove(): Promise<void> {
    const written = await this.#written?.catch(() => undefined);
    if (written !== undefined) await rm(written.directory, { recursive: true, force: true });
  }

  async #write() {
    const directory = await mkdtemp(join(tmpdir(), 'cronium-seccomp-'));
    await chmod(directory, 0o755);
    const path = join(directory, 'seccomp.json');
    await writeFile(path, this.text, { mode: 0o644 });
    return { directory, path };
  }
}
