import type { AnsweredRequest } from '../http/context.ts';
import type { Log } from '../logger.ts';

/** Asked every few seconds by machines: a log of them hides the rest. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** Writes a line for each request. What a field has nothing for is absent. */
export function requestLines(log: Log): (request: AnsweredRequest) => void {
  return (request) => {
    const level = levelOf(request);
    if (!log.isLevelEnabled(level)) return;
    const { durationMs, ...fields } = request;
    log[level]({ ...fields, ms: Math.round(durationMs * 1_000) / 1_000 }, 'request');
  };
}

/** `error` is the gateway's own fault, `warn` a function's or the host's; what a caller did wrong is nobody's alarm. */
function levelOf({ route, status }: AnsweredRequest): 'debug' | 'info' | 'warn' | 'error' {
  if (PROBES.has(route)) return 'debug';
  if (status === 500) return 'error';
  return status > 500 ? 'warn' : 'info';
}
