import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { baseImages, RUNTIMES_DIR } from '../engine-config.ts';
import type { DetectOptions } from '../sandbox/detect.ts';

/** What every way of isolating needs to know. */
export function detectOptions(
  config: Config,
  own: { instanceId: string; onProgress: (line: string) => void; onEngineError: (error: unknown) => void },
): DetectOptions {
  const {
    RESOURCE_LIMITS_ENABLED: limitsEnabled,
    SECURITY_LEVEL: level,
    APPARMOR_PROFILE: appArmorProfile,
  } = config;
  const engine = {
    ...own,
    limitsEnabled,
    level,
    appArmorProfile,
    runtimesDir: RUNTIMES_DIR,
    baseImages: baseImages(config),
  };
  return {
    docker: { ...engine, engine: 'docker', host: config.DOCKER_HOST, certPath: certPathOf(config) },
    podman: {
      ...engine,
      engine: 'podman',
      host: config.PODMAN_HOST ?? config.CONTAINER_HOST,
      certPath: undefined,
    },
    ociRuntime: config.RUNTIME,
    level,
    bubblewrap: {
      instanceId: own.instanceId,
      limitsEnabled,
      level,
      appArmorProfile,
      runtimesDir: RUNTIMES_DIR,
      node: process.execPath,
    },
  };
}

/** Any of the three asks for TLS, as the docker command's options do. */
function certPathOf({ DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH }: Config): string | undefined {
  if (DOCKER_TLS === undefined && DOCKER_TLS_VERIFY === undefined) return DOCKER_CERT_PATH;
  return DOCKER_CERT_PATH ?? join(homedir(), '.docker');
}
