import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type Docker from 'dockerode';
import { ENGINE_PLACES, enginePlaceOf } from '../engine-place.ts';
import { messageOf } from '../errors.ts';
import { DockerClient } from './dockerode.ts';
import { EngineAway } from './engine-away.ts';
import type { EngineKind } from './engine-client.ts';

/** How to reach an engine. */
export interface EngineAddress {
  /** A URL, or the kind's usual place when not given. */
  host?: string | undefined;
  /** Folder with the certificates for TLS, as of `DOCKER_CERT_PATH`; without one there is no TLS. */
  certPath?: string | undefined;
}

const KEPT_CONNECTION_MS = 5_000;
const PORT = 2_375;
const TLS_PORT = 2_376;

/** The library reads the environment by itself, and takes from it whatever it is not given: another engine's address, for one. */
const NOTHING_OF_THE_ENVIRONMENT = {
  host: undefined,
  port: undefined,
  protocol: 'http',
  ca: undefined,
  cert: undefined,
  key: undefined,
};

/**
 * A client of the engine at an address, which has asked nothing yet, and what ends its connections for good.
 * @throws EngineAway
 */
export async function engineAt(
  kind: EngineKind,
  { host, certPath }: EngineAddress,
): Promise<{ docker: Docker; agent: Agent; remedyFor?: (error: unknown) => string }> {
  const given = host ?? (kind === 'podman' ? podmanSocket() : undefined);
  // The library then finds Docker Desktop's, too.
  if (given === undefined) return clientOf(new Agent(AGENT), {});
  const place = enginePlaceOf(given);
  if (place === undefined) throw new EngineAway(`${given}: write it as ${ENGINE_PLACES}`);
  if ('socketPath' in place) return clientOf(new Agent(AGENT), place);
  if (certPath === undefined) return clientOf(new Agent(AGENT), { ...place, port: place.port ?? PORT });
  const certificates = await certificatesIn(certPath);
  const address = { ...place, port: place.port ?? TLS_PORT, protocol: 'https', ...certificates };
  return { ...clientOf(new TlsAgent(AGENT), address), remedyFor: (error) => tlsRemedy(certPath, error) };
}

const AGENT = { keepAlive: true, scheduling: 'lifo', timeout: KEPT_CONNECTION_MS } as const;

function clientOf(agent: Agent, address: object): { docker: Docker; agent: Agent } {
  const docker = new DockerClient({ ...NOTHING_OF_THE_ENVIRONMENT, ...address } as Docker.DockerOptions);
  // The library takes it and its types do not know.
  Object.assign(docker.modem, { agent: endable(agent) });
  return { docker, agent };
}

/** As the docker command: the engine's authority there must be, a certificate of this side's own only where the engine wants one. */
async function certificatesIn(folder: string): Promise<{ ca: Buffer; cert?: Buffer; key?: Buffer }> {
  const read = (name: string) =>
    readFile(join(folder, name)).catch((error) => {
      throw new EngineAway(`${messageOf(error)}`, { cause: error, remedy: tlsRemedy(folder) });
    });
  const ca = await read('ca.pem');
  if (!['cert.pem', 'key.pem'].some((name) => existsSync(join(folder, name)))) return { ca };
  return { ca, cert: await read('cert.pem'), key: await read('key.pem') };
}

function tlsRemedy(folder: string, error?: unknown): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'Write DOCKER_HOST with a name or an address that the certificate of the engine is for, or have it renewed for this one.';
    case 'CERT_HAS_EXPIRED':
      return 'Renew the certificate of the engine, or the one of its authority: whichever has expired.';
    case 'EPROTO':
      return 'If the engine does not speak TLS at this port (the one for TLS is 2376, as a rule), name another in DOCKER_HOST, or take DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH away.';
  }
  return `DOCKER_CERT_PATH (now ${folder}) must have ca.pem, which the engine at DOCKER_HOST is verified by, and cert.pem and key.pem where it verifies its clients; DOCKER_TLS_VERIFY asks for that.`;
}

/** Lets connections be ended for good: who asks after that is refused, and does not keep this process alive. */
function endable(agent: Agent): Agent {
  let ended = false;
  const [connect, destroy] = [agent.createConnection.bind(agent), agent.destroy.bind(agent)];
  return Object.assign(agent, {
    createConnection(...args: Parameters<Agent['createConnection']>) {
      const socket = connect(...args);
      if (ended) socket?.destroy(new Error('the connection to the engine is closed'));
      return socket;
    },
    destroy() {
      ended = true;
      destroy();
    },
    // The library writes each request out for its debug log, whether or not there is one, and with it every open connection.
    [inspect.custom]: () => 'EngineAgent',
  });
}

/** Where Podman's service listens when nobody says otherwise: an ordinary user has one of their own. */
function podmanSocket(): string {
  const uid = process.getuid?.() ?? 0;
  const own = `${process.env.XDG_RUNTIME_DIR ?? `/run/user/${uid}`}/podman/podman.sock`;
  const places = uid === 0 ? ['/run/podman/podman.sock', own] : [own, '/run/podman/podman.sock'];
  return `unix://${places.find((path) => existsSync(path)) ?? places[0]}`;
}
