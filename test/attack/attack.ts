import type { InvocationStatus } from '../../src/core/invocation.ts';
import { type ErrorCode, STATUS_OF } from '../../src/errors.ts';

/** What a call of hostile code may come to. */
export interface Ending {
  /** The HTTP status that the caller gets. */
  status: number;
  /** The code of the problem; of the record when the response was cut. */
  code?: ErrorCode;
  record: InvocationStatus;
  /** The connection ends before the response does. */
  cut?: true;
  /** The whole body, where it is known. */
  body?: string;
}

export interface Attack {
  code: string;
  endings: readonly Ending[];
  timeoutMs?: number;
  env?: Record<string, string>;
  memoryMb?: number;
  /** What the log in the record must match. */
  log?: RegExp;
}

export function answers(body?: string): Ending {
  return { status: 200, record: 'succeeded', ...(body !== undefined && { body }) };
}

export function fails(code: ErrorCode): Ending {
  return { status: STATUS_OF[code], code, record: 'failed' };
}

export const timesOut: Ending = { status: 504, code: 'function_timeout', record: 'timed_out' };

/** The response began, and the caller can see that it is not whole. */
export function cut(code: ErrorCode): Ending {
  return { status: 200, code, record: code === 'function_timeout' ? 'timed_out' : 'failed', cut: true };
}

/** A stream beyond its limit: cut, or refused whole when that was clear before its head had left. */
export const endsTooLarge: readonly Ending[] = [cut('response_too_large'), fails('response_too_large')];

/** Variables by which programs are told to load something first; the agent has started long before it hears of them. */
export const LOADS_FIRST: Record<string, string> = {
  LD_PRELOAD: '/tmp/none.so',
  LD_LIBRARY_PATH: '/tmp',
  PYTHONPATH: '/tmp',
  PYTHONSTARTUP: '/tmp/none.py',
  PYTHONINSPECT: '1',
  NODE_OPTIONS: '--require=/tmp/none.js',
  NODE_PATH: '/tmp',
  BASH_ENV: '/tmp/none.sh',
  ENV: '/tmp/none.sh',
};
