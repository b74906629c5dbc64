import { setTimeout as sleep } from 'node:timers/promises';

export interface Followed {
  id: string;
  status: string;
  createdAt: string;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

export interface FollowOptions<T extends Followed> {
  /** Invocations, newest first, from a cursor on. */
  fetchPage: (cursor: string | undefined) => Promise<Page<T>>;
  /** Called once for each invocation that ended. */
  print: (item: T) => void;
  /** Told when the gateway does not answer; following goes on. */
  onTrouble: (error: unknown) => void;
  /** How many of those that ended before are printed first. */
  last: number;
  /** Ends it. */
  signal: AbortSignal;
  /** How long an invocation may take from its record's time to its end, ms. */
  longestMs: number;
  pollMs?: number;
}

const POLL_MS = 1_000;
/** Most polls stop at the first page without news; every so many look back as far as something could still end. */
const THOROUGH_EVERY = 10;
const MAX_PAGES = 50;
const ENDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'timed_out', 'cancelled', 'dead']);

/**
 * Prints the last invocations, and then others as they end, until the signal: each once, those found together in the order in
 * which they began. One that took longer comes when it ends, however many began after it.
 */
export async function follow<T extends Followed>(options: FollowOptions<T>): Promise<void> {
  const { signal, print, onTrouble, last, longestMs, pollMs = POLL_MS } = options;
  const printed = new Map<string, number>();
  let begun = false;
  for (let poll = 0; !signal.aborted; poll++) {
    const floor = Date.now() - longestMs;
    try {
      const found = await findEnded(begun ? printed : undefined, floor, poll % THOROUGH_EVERY === 0, options);
      const news = found.sort((a, b) => (a.id < b.id ? -1 : 1));
      // What had ended before is history, of which only the last were asked for.
      for (const item of begun ? news : news.slice(Math.max(0, news.length - last))) print(item);
      for (const { id, createdAt } of news) printed.set(id, Date.parse(createdAt));
      begun = true;
    } catch (error) {
      if (!signal.aborted) onTrouble(error);
    }
    for (const [id, createdAt] of printed) if (createdAt < floor - longestMs) printed.delete(id);
    await sleep(pollMs, undefined, { signal }).catch(() => {});
  }
}

async function findEnded<T extends Followed>(
  printed: ReadonlyMap<string, number> | undefined,
  floor: number,
  thorough: boolean,
  { fetchPage, signal }: FollowOptions<T>,
): Promise<T[]> {
  const ended: T[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < MAX_PAGES && !signal.aborted; pages++) {
    const { items, nextCursor } = await fetchPage(cursor);
    const unprinted = items.filter(({ id, createdAt }) => isNews(id, createdAt));
    ended.push(...unprinted.filter(({ status }) => ENDED.has(status)));
    const pastFloor = items.some(({ createdAt }) => Date.parse(createdAt) < floor);
    if (nextCursor === null || pastFloor || (unprinted.length === 0 && printed !== undefined && !thorough))
      break;
    cursor = nextCursor;
  }
  return ended;

  /** At the beginning however old: else the last of a quiet event would not be shown. */
  function isNews(id: string, createdAt: string): boolean {
    return printed === undefined || (!printed.has(id) && Date.parse(createdAt) >= floor);
  }
}
