import { ENGINE_PLACES, enginePlaceOf } from '../engine-place.ts';
import type { ConfigFault } from './level-faults.ts';
import type { Settings } from './settings.ts';

const PLACES = { docker: ['DOCKER_HOST'], podman: ['PODMAN_HOST', 'CONTAINER_HOST'] } as const;
const TLS = ['DOCKER_TLS_VERIFY', 'DOCKER_TLS', 'DOCKER_CERT_PATH'] as const;
/** All that tells where engines are. */
export const ENGINE_SETTINGS = [...PLACES.docker, ...PLACES.podman, ...TLS];

/** What is wrong with where the engines are, as far as they would be asked: a shell may have them set for something else. */
export function engineFaults(env: Partial<Settings>): ConfigFault[] {
  const isAsked = (mode: 'docker' | 'podman') => env.ISOLATION_MODE === 'auto' || env.ISOLATION_MODE === mode;
  const faults: ConfigFault[] = [];
  for (const mode of ['docker', 'podman'] as const) {
    for (const name of isAsked(mode) ? PLACES[mode] : []) {
      const url = env[name];
      if (url === undefined || enginePlaceOf(url) !== undefined) continue;
      const other = /^[a-z][a-z\d+.-]*:\/\//i.exec(url)?.[0];
      const why =
        other === undefined || /^(unix|tcp|http):/i.test(other) ? '' : `; ${other} is not supported`;
      faults.push({ name, message: `must be ${ENGINE_PLACES}${why}` });
    }
  }
  const place = enginePlaceOf(env.DOCKER_HOST ?? '');
  const tls = TLS.find((name) => env[name] !== undefined);
  if (
    tls !== undefined &&
    isAsked('docker') &&
    (env.DOCKER_HOST === undefined || (place && 'socketPath' in place))
  )
    faults.push({
      name: tls,
      message: 'is for an engine at an address: set DOCKER_HOST=tcp://host:port too, or take it away',
    });
  return faults;
}
