import type { AuditRecord } from './entry.ts';

const WINDOW_MS = 60_000;
/** Different refusals in a window that are told apart; the others are counted together. */
const MAX_KEYS = 100;

/**
 * Lets a refusal through when it is the first of its kind within a minute, and counts those after it: who has no token and sends a
 * million requests must not fill the log, nor push out of it what others did.
 */
export class Repeats {
  readonly #write: (record: AuditRecord) => void;
  readonly #windowMs: number;
  readonly #counts = new Map<string, { record: AuditRecord; count: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(write: (record: AuditRecord) => void, windowMs: number = WINDOW_MS) {
    this.#write = write;
    this.#windowMs = windowMs;
  }

  refused(record: AuditRecord): void {
    this.#timer ??= setTimeout(() => this.flush(), this.#windowMs).unref();
    const key = keyOf(record);
    const known = this.#counts.get(key) ?? (this.#counts.size >= MAX_KEYS ? this.#others() : undefined);
    if (known !== undefined) {
      known.count++;
      return;
    }
    this.#counts.set(key, { record, count: 0 });
    this.#write(record);
  }

  /** Writes down how many there were beside those that were let through. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { record, count } of this.#counts.values()) {
      if (count === 0) continue;
      const { requestId: _request, invocationId: _invocation, ...kind } = record;
      this.#write({ ...kind, detail: { ...record.detail, repeated: count } });
    }
    this.#counts.clear();
  }

  #others(): { count: number } {
    const key = '';
    let others = this.#counts.get(key);
    if (others === undefined) {
      const record: AuditRecord = {
        action: 'request.refused',
        actor: null,
        subject: null,
        outcome: 'refused',
      };
      others = { record: { ...record, detail: { kinds: 'others' } }, count: 0 };
      this.#counts.set(key, others);
    }
    return others;
  }
}

function keyOf({ action, actor, sourceIp, code, subject }: AuditRecord): string {
  return JSON.stringify([action, actor, sourceIp, code, actor === null ? null : subject]);
}
