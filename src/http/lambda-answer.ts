import * as errors from 'jose/errors';
import type { Event } from '../core/event.ts';
import type { Phases } from '../core/invocation.ts';
import type { InvokeResponse, RawEnd } from '../core/invoke.ts';
import type { RawFailure } from '../core/raw-answer.ts';
import type { ErrorCode, GatewayError } from '../errors.ts';
import { failedFor } from './calls.ts';

/** As much of the log as `X-Amz-Log-Type: Tail` gives. */
const TAIL_BYTES = 4_096;

/** What Lambda's API calls a refusal, so that its clients raise the exception of that name. */
const TYPE_OF: Partial<Record<ErrorCode, string>> = {
  invalid_json: 'InvalidRequestContentException',
  unauthorized: 'UnrecognizedClientException',
  invalid_token: 'UnrecognizedClientException',
  insufficient_scope: 'AccessDeniedException',
  event_disabled: 'AccessDeniedException',
  not_found: 'ResourceNotFoundException',
  body_too_large: 'RequestTooLargeException',
  too_many_requests: 'TooManyRequestsException',
  idempotency_conflict: 'ResourceConflictException',
};

/** Lambda answers a token that is none with 403 and without a challenge. */
const LAMBDA_STATUS: Partial<Record<ErrorCode, number>> = {
  unauthorized: 403,
  invalid_token: 403,
  validation_failed: 400,
  idempotency_mismatch: 400,
  answer_not_kept: 400,
};

/** A refusal as Lambda's API words it. */
export function lambdaError(error: GatewayError, requestId: string): Response {
  const { code, message, retryAfterSeconds } = error;
  const status = LAMBDA_STATUS[code] ?? error.status;
  const type =
    error.cause instanceof errors.JWTExpired
      ? 'ExpiredTokenException'
      : (TYPE_OF[code] ?? (status < 500 ? 'InvalidParameterValueException' : 'ServiceException'));
  const headers = new Headers({
    'content-type': 'application/json',
    'x-amzn-errortype': type,
    'x-amzn-requestid': requestId,
  });
  if (retryAfterSeconds !== undefined) headers.set('retry-after', String(Math.ceil(retryAfterSeconds)));
  // Some of Lambda's exceptions have a `Message` and others a `message`; clients look for either.
  const body = { Type: status < 500 ? 'User' : 'Service', message, Message: message };
  return new Response(JSON.stringify(body), { status, headers });
}

/** Where the function did not name its error. */
const ERROR_TYPE: Readonly<Record<RawFailure['code'], string>> = {
  function_error: 'Unhandled',
  out_of_memory: 'Runtime.OutOfMemory',
  invalid_response: 'Runtime.MarshalError',
  response_too_large: 'Function.ResponseSizeTooLarge',
  function_timeout: 'Sandbox.Timedout',
};

/** What of a call its answer depends on. */
export interface AnsweredCall {
  event: Event;
  isOwner: boolean;
  wantsLog: boolean;
  at: Date;
}

/** A raw answer as Lambda's API gives it: a failure is the body, and a header says that it is one. */
export function lambdaAnswer(
  { raw, ...answer }: InvokeResponse,
  { event, isOwner, wantsLog, at }: AnsweredCall,
): InvokeResponse {
  if (raw === undefined) throw new TypeError('The answer is not a raw one');
  const { version, limits } = event.current;
  const { timeoutMs, memoryMb } = limits;
  const { invocationId: requestId, phases } = answer;
  const ended: Ended = { requestId, version, timeoutMs, memoryMb, phases, raw, at };
  const headers: Record<string, string> = {
    'content-type': answer.headers['content-type'] ?? 'application/json',
    // What a function prints is its owner's to read.
    ...(wantsLog && isOwner && { 'x-amz-log-result': logTail(ended) }),
  };
  if (raw.failure === null) return { ...answer, headers };
  const body = Buffer.from(JSON.stringify(failureBody(raw.failure, ended, isOwner)));
  const failed = { 'content-type': 'application/json', 'x-amz-function-error': 'Unhandled' };
  return { ...answer, headers: { ...headers, ...failed }, body };
}

interface Ended {
  requestId: string;
  version: number;
  timeoutMs: number;
  memoryMb: number;
  phases: Phases;
  raw: RawEnd;
  at: Date;
}

/** What a caller reads of a function that failed; its own words are for its owner. */
function failureBody(failure: RawFailure, ended: Ended, isOwner: boolean): Record<string, unknown> {
  const { code } = failure;
  if (code === 'function_timeout') return { errorMessage: timedOut(ended), errorType: ERROR_TYPE[code] };
  if (!isOwner) return { errorMessage: failedFor(ended.requestId), errorType: ERROR_TYPE[code] };
  return {
    errorMessage: failure.message,
    errorType: failure.type ?? ERROR_TYPE[code],
    trace: failure.trace?.trimEnd().split('\n') ?? [],
  };
}

/** The end of the log in Lambda's format, base64. What memory was used is not measured, and not told. */
function logTail(ended: Ended): string {
  const { requestId, version, phases, raw, memoryMb } = ended;
  const durationMs = phases.exec ?? 0;
  const printed = raw.logs === '' || raw.logs.endsWith('\n') ? raw.logs : `${raw.logs}\n`;
  const { failure } = raw;
  const said =
    failure?.code === 'function_timeout'
      ? `${timedOut(ended)}\n\n`
      : failure
        ? `[ERROR] ${failure.type ?? ERROR_TYPE[failure.code]}: ${failure.message}\n`
        : '';
  const log =
    `START RequestId: ${requestId} Version: ${version}\n${printed}${said}END RequestId: ${requestId}\n` +
    `REPORT RequestId: ${requestId}\tDuration: ${durationMs.toFixed(2)} ms\t` +
    `Billed Duration: ${Math.ceil(durationMs)} ms\tMemory Size: ${memoryMb} MB\t\n`;
  return Buffer.from(log).subarray(-TAIL_BYTES).toString('base64');
}

const timedOut = ({ at, requestId, timeoutMs }: Ended) =>
  `${at.toISOString()} ${requestId} Task timed out after ${(timeoutMs / 1_000).toFixed(2)} seconds`;
