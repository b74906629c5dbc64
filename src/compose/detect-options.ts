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
    docker: { ...engine, engine: 'docker', host: config.DOCKER_HOST },
    podman: { ...engine, engine: 'podman', host: config.PODMAN_HOST ?? config.CONTAINER_HOST },
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
