import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

/** An engine hears of the end of a sandbox, and of why, a moment after the gateway does. */
const END_POLL_MS = 25;
const END_LOOKS = 48;
const KILLED_EXIT_CODE = 137;

/** @param hasEnded the sandbox as a whole; else something within it */
export async function ranOutOfMemory(container: Docker.Container, hasEnded: boolean): Promise<boolean> {
  let looksLeft = hasEnded ? END_LOOKS : 1;
  for (;;) {
    const { OOMKilled, Running, ExitCode } = (await container.inspect()).State;
    if (OOMKilled) return true;
    looksLeft -= 1;
    if (looksLeft === 0 || (!Running && ExitCode !== KILLED_EXIT_CODE)) return false;
    await sleep(END_POLL_MS);
  }
}
