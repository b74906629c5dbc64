import type { Invocation, InvocationStatus } from './invocation.ts';
import type { Page } from './page.ts';

/** What happened, kept for those who ask later. */
export interface InvocationStore {
  /** Inserts or, by id, replaces; all of them or none. */
  save(invocations: readonly Invocation[]): Promise<void>;
  find(id: string): Promise<Invocation | undefined>;
  /** Newest first. `cursor` is a `nextCursor` of an earlier page. */
  listByEvent(
    ownerId: string,
    eventName: string,
    page: { limit: number; cursor?: string },
  ): Promise<Page<Invocation>>;
  /** The same of those that stand so, of one event or of all. */
  listByStatus(
    ownerId: string,
    filter: { status: InvocationStatus; eventName?: string },
    page: { limit: number; cursor?: string },
  ): Promise<Page<Invocation>>;
}

/** What those who only ask need. */
export type InvocationReader = Pick<InvocationStore, 'find' | 'listByEvent' | 'listByStatus'>;

/** Takes invocations off the hot path: `record` returns at once and never throws; the newest record of an id counts. */
export interface InvocationRecorder extends InvocationReader {
  record(invocation: Invocation): void;
}
