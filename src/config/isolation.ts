import { z } from 'zod';
import { SECURITY_LEVELS } from '../core/isolation.ts';
import { flag } from './values.ts';

/** As engines name runtimes, and containerd its shims: `runsc`, `io.containerd.kata.v2`. */
const OCI_RUNTIME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/;

/** What sandboxes are made of. */
export const isolation = {
  ISOLATION_MODE: z
    .enum(['auto', 'docker', 'podman', 'bubblewrap'])
    .default('auto')
    .describe('What isolates functions; `auto` takes the strongest that works here'),
  RUNTIME: z
    .string()
    .regex(OCI_RUNTIME, 'must be auto, gvisor, or the name of an OCI runtime such as runc, crun or kata')
    .default('auto')
    .describe(
      'OCI runtime of the engine: `gvisor` or another by its name; `auto` takes gVisor where it is proved',
    ),
  SECURITY_LEVEL: z
    .enum(SECURITY_LEVELS)
    .default('basic')
    .describe('What every sandbox must meet, or the gateway does not start'),
  APPARMOR_PROFILE: z
    .string()
    .regex(/^(?!unconfined$)[a-zA-Z][\w.-]{0,63}$/, 'must be the name of a profile, and not unconfined')
    .optional()
    .describe(
      'AppArmor profile that sandboxes must have; `cronium-sandbox` from enhanced on, where it is loaded, when not given',
    ),
  DOCKER_HOST: z
    .string()
    .min(1)
    .optional()
    .describe('Docker engine to use, as for the docker command: `unix:///path` or `tcp://host:port`'),
  DOCKER_TLS_VERIFY: z
    .string()
    .optional()
    .describe('Whatever its value, DOCKER_HOST is reached by TLS and verified, as by the docker command'),
  DOCKER_TLS: z.string().optional().describe('The same: an engine that is not verified is not used'),
  DOCKER_CERT_PATH: z
    .string()
    .optional()
    .describe(
      'Folder with `ca.pem`, which the engine is verified by, `cert.pem` and `key.pem`; `~/.docker` when not given',
    ),
  PODMAN_HOST: z
    .string()
    .min(1)
    .optional()
    .describe("Podman's socket, as a URL; the user's or the system's own when not given"),
  CONTAINER_HOST: z.string().min(1).optional().describe("The same by Podman's own name for it"),
  PYTHON_BASE_IMAGE: z
    .string()
    .min(1)
    .default('python:3.13-slim-bookworm')
    .describe('Image that the Python and Bash sandboxes are built on'),
  NODE_BASE_IMAGE: z
    .string()
    .min(1)
    .default('node:24-bookworm-slim')
    .describe('Image that the Node.js sandboxes are built on'),
  RESOURCE_LIMITS_ENABLED: flag.default(true).describe('Enforce memory, CPU and process limits'),
};
