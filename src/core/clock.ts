/** Time as the core sees it; tests give it another. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls back once after so many ms; the returned function takes that back. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
