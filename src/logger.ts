import pino from 'pino';
import type { Config } from './config.ts';

/** What the gateway logs to: a JSON object a line. */
export type Log = pino.Logger;

/** Lines are written together, which costs the calls less, but none waits for others for longer, ms. */
const BATCH_MS = 100;
const BATCH_BYTES = 4_096;
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
    pino.destination({
      dest,
      sync: false,
      minLength: BATCH_BYTES,
      periodicFlush: BATCH_MS,
      maxLength: MAX_WAITING_BYTES,
    }),
  );
}
