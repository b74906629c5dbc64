import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import { loadSigner } from '../http/key-files.ts';

/**
 * Public keys from a file or URL with a JWKS; those of the gateway that is configured here when none is named.
 * @throws Error when there are none
 */
export async function keySetFrom(source: string | undefined, config: Config): Promise<JSONWebKeySet> {
  if (source === undefined) return (await loadSigner(config, resolve(config.DATA_DIR), false)).keySet;
  try {
    const text = /^https?:\/\//.test(source) ? await fetched(source) : await readFile(source, 'utf8');
    const keySet = JSON.parse(text) as Partial<JSONWebKeySet>;
    if (!Array.isArray(keySet.keys)) throw new Error('it has no keys');
    return { keys: keySet.keys };
  } catch (error) {
    throw new Error(`--jwks ${source}: ${messageOf(error)}`);
  }
}

async function fetched(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the answer is ${response.status}`);
  return response.text();
}
