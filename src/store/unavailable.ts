import { GatewayError, messageOf } from '../errors.ts';

const RETRY_AFTER_SECONDS = 1;

/** What callers get while the database is away, full or read-only; the reason is for the log. */
export function unavailable(cause: unknown): GatewayError {
  return new GatewayError('store_unavailable', 'The database cannot serve this now; try again shortly', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    cause,
  });
}

/** Whether trying the same again later makes sense: the fault is in the database's state and not in what it was given. */
export function isUnavailable(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.code === 'store_unavailable';
}

/** The database cannot be used as it is; the message has the remedy. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** An error of a start, by the setting that it comes from: what callers are not told, who starts a gateway needs. */
export function startError(setting: string, error: unknown): unknown {
  if (!isUnavailable(error)) return error;
  return new DatabaseError(`${setting}: the database cannot be used: ${messageOf(error.cause)}`, {
    cause: error.cause,
  });
}
