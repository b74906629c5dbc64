import { createRequire } from 'node:module';
import type Docker from 'dockerode';

/** What the library loads at once and needs for nothing that is asked of it here: builds by BuildKit over gRPC, and SSH to an engine. */
const UNUSED = ['dockerode/lib/session', 'docker-modem/lib/ssh'];

/** The library, without the three quarters of its code that would only take memory and time at each start. */
export const DockerClient: typeof Docker = load();

function load(): typeof Docker {
  const require = createRequire(import.meta.url);
  const ofLibrary = createRequire(require.resolve('dockerode'));
  for (const path of UNUSED) {
    const id = ofLibrary.resolve(path);
    require.cache[id] ??= {
      id,
      filename: id,
      loaded: true,
      exports: unused,
      children: [],
      paths: [],
    } as never;
  }
  return require('dockerode') as typeof Docker;
}

function unused(): never {
  throw new Error('this part of dockerode is not loaded: see dockerode.ts');
}
