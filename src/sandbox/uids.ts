import { randomInt } from 'node:crypto';

/** The images name all of them `sandbox`, and their group. Few hosts have users with such numbers. */
export const FIRST_SANDBOX_UID = 50_000;
export const SANDBOX_UIDS = 1_000;
export const SANDBOX_GID = 50_000;

export interface TakenUid {
  uid: number;
  /** Once nothing runs as it any more. */
  release(): void;
}

/**
 * A user for each sandbox: the kernel counts inotify instances, pipes, queued signals and keys by user, across containers and with the
 * host's own users. Who uses them up does so for itself alone.
 */
export class Uids {
  readonly #holders = new Uint32Array(SANDBOX_UIDS);
  #live = 0;
  // Other gateways of this host begin elsewhere.
  #last = randomInt(SANDBOX_UIDS);

  /** One that no sandbox has; with more sandboxes than users, one that as few as can be have. */
  take(): TakenUid {
    const fewest = Math.floor(this.#live / SANDBOX_UIDS);
    do this.#last = (this.#last + 1) % SANDBOX_UIDS;
    while (this.#holders[this.#last]! > fewest);
    const index = this.#last;
    this.#count(index, 1);
    let released = false;
    return {
      uid: FIRST_SANDBOX_UID + index,
      release: () => {
        if (!released) this.#count(index, -1);
        released = true;
      },
    };
  }

  #count(index: number, change: 1 | -1): void {
    this.#holders[index]! += change;
    this.#live += change;
  }
}
