import type Docker from 'dockerode';
import { messageOf } from '../errors.ts';
import { OWNER_LABEL } from './hardening.ts';

/**
 * Podman that was killed while it made a container may know of it what its storage does not, and lists nothing until that is removed.
 * Only those that the filter is for can be in its way.
 */
const HALF_MADE = /getting container from store "?([0-9a-f]{64})"?: container not known/;
const MOST_HALF_MADE = 1_000;

/** The ids of all containers of a gateway, in whatever state; halves of some are removed. */
export async function ownContainers(docker: Docker, instanceId: string): Promise<string[]> {
  const filters = { label: [`${OWNER_LABEL}=${instanceId}`] };
  for (let removed = 0; ; removed++) {
    try {
      return (await docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
    } catch (error) {
      const half = HALF_MADE.exec(messageOf(error))?.[1];
      if (half === undefined || removed === MOST_HALF_MADE) throw error;
      await docker.getContainer(half).remove({ force: true, v: true });
    }
  }
}
