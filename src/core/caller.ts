/** Somebody who calls: who they are and what they pay for. */
export interface Caller {
  /** `null` for an anonymous call of a public event. */
  userId: string | null;
  tier: string | null;
  /** The other end of the caller's connection; absent when there is none. */
  sourceIp?: string | undefined;
}
