import pino from 'pino';
import type { Config } from './config.ts';

/** What the gateway logs to: a JSON object a line. */
export type Log = pino.Logger;

export function createLog(level: Config['LOG_LEVEL']): Log {
  // On standard error, so that what a command prints can be piped on.
  return pino({ level, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
