import pino from 'pino';
import type { Config } from './config.ts';

/** What the gateway logs to: a JSON object a line. */
export type Log = pino.Logger;

/** Lines that wait for a slow reader, bytes; those beyond are lost, so that a stuck one costs neither memory nor calls. */
const MAX_WAITING_BYTES = 16 * 2 ** 20;

/**
 * Logs to standard error, so that what a command prints can be piped on. Writing happens off the event loop, and what
 * waits when the process ends is written then.
 */
export function createLog(level: Config['LOG_LEVEL'], dest: number | string = 2): Log {
  const { isoTime } = pino.stdTimeFunctions;
  const { err } = pino.stdSerializers;
  return pino(
    { level, timestamp: isoTime, serializers: { err, error: err } },
    pino.destination({ dest, sync: false, maxLength: MAX_WAITING_BYTES }),
  );
}
