import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { buffer } from 'node:stream/consumers';
import tar from 'tar-stream';
import type { Runtime } from '../core/event.ts';
import { RUNTIME_LABEL } from './hardening.ts';

export interface ContextFile {
  path: string;
  content: Buffer;
  executable: boolean;
}

/** All that the image of a runtime is made of. */
export interface ImageRecipe {
  /** Has the hash of all the rest, so that a changed agent is never served by an image of the old one. */
  tag: string;
  dockerfile: string;
  buildargs: { BASE: string };
  labels: Record<string, string>;
}

/** The build context of all images: the files of the folder `runtimes/`, sorted by path. */
export async function readContext(dir: string): Promise<ContextFile[]> {
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

export function recipeOf(runtime: Runtime, files: readonly ContextFile[], base: string): ImageRecipe {
  return {
    tag: `cronium-runtime-${runtime}:${hashOf(files, base)}`,
    dockerfile: `${runtime}/Dockerfile`,
    buildargs: { BASE: base },
    labels: { [RUNTIME_LABEL]: runtime },
  };
}

/** The same bytes for the same files, whenever and wherever. */
export async function packContext(files: readonly ContextFile[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { path, content, executable } of files) {
    pack.entry({ name: path, mode: executable ? 0o755 : 0o644, mtime: new Date(0) }, content);
  }
  pack.finalize();
  return buffer(pack);
}

function hashOf(files: readonly ContextFile[], base: string): string {
  const hash = createHash('sha256').update(`${base}\0`);
  for (const { path, content } of files) hash.update(`${path}\0${content.byteLength}\0`).update(content);
  return hash.digest('hex').slice(0, 16);
}
