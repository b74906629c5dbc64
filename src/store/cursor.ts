import { GatewayError } from '../errors.ts';

/** @throws GatewayError `validation_failed` when it is none that a page has given out */
export function checkCursor(cursor: string | undefined, pattern: RegExp): void {
  if (cursor === undefined || pattern.test(cursor)) return;
  throw new GatewayError('validation_failed', 'The cursor is not valid', {
    faults: [{ path: 'cursor', message: 'is not a nextCursor of an earlier page' }],
  });
}
