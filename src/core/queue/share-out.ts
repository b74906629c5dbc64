/** What waits for one event. */
export interface Lane {
  lane: string;
  /** How many of it may be claimed now. */
  room: number;
}

export interface Turn {
  owner: string;
  /** In the order of their turn. */
  lanes: readonly Lane[];
}

/** Shares out claims: one to each owner in turn, each time from their next lane, until nothing is wanted or left. */
export function shareOut(want: number, turns: readonly Turn[]): Map<string, number> {
  const shares = new Map<string, number>();
  const lines = turns.map(({ lanes }) => lanes.filter(({ room }) => room > 0).map((lane) => ({ ...lane })));
  let left = want;
  for (let gave = true; gave && left > 0; ) {
    gave = false;
    for (const line of lines) {
      const next = line.shift();
      if (next === undefined || left === 0) continue;
      shares.set(next.lane, (shares.get(next.lane) ?? 0) + 1);
      left -= 1;
      gave = true;
      next.room -= 1;
      if (next.room > 0) line.push(next);
    }
  }
  return shares;
}
