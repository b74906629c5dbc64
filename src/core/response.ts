import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { headerFault } from './header-syntax.ts';
import type { FunctionResult, ResponseHead } from './sandbox.ts';

/** A response that came whole. */
export interface WholeResponse extends ResponseHead {
  body: Uint8Array;
}

/** As much as HEAD of the sandbox protocol may have; clients read less. */
const MAX_HEAD_BYTES = 64 * 1_024;
const MAX_FAULT_LENGTH = 200;

/** What a function may return to shape its answer: AWS Lambda payload format 2.0. */
const lambdaResponse = z.object({
  statusCode: z.number().int().min(200).max(599),
  headers: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String))
    .nullish()
    .transform((headers) => headers ?? {}),
  cookies: z
    .array(z.string())
    .nullish()
    .transform((cookies) => cookies ?? []),
  body: z.unknown().optional(),
  isBase64Encoded: z.boolean().nullish(),
});

/**
 * Turns what a function returned into a response. An object with a `statusCode` is one; any other value is a 200 with the
 * JSON of the value.
 * @throws GatewayError `invalid_response` naming the member that is wrong
 */
export function responseOf({ value, json }: FunctionResult): WholeResponse {
  if (!isLambdaShaped(value)) {
    return {
      statusCode: 200,
      headers: { 'content-type': 'application/json' },
      cookies: [],
      // As the function wrote it: written anew, numbers beyond 2^53 would be others.
      body: json,
    };
  }
  const parsed = lambdaResponse.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`${issue?.path.join('.').slice(0, MAX_FAULT_LENGTH)}: ${issue?.message}`);
  }
  const { statusCode, cookies, body, isBase64Encoded } = parsed.data;
  const headers = lowerCaseNames(parsed.data.headers);
  headers['content-type'] ??= 'application/json';
  if (headBytes(headers, cookies) > MAX_HEAD_BYTES)
    throw invalid(`headers and cookies have more than ${MAX_HEAD_BYTES} bytes`);
  const fault = headerFault(headers, cookies);
  if (fault !== undefined) throw invalid(fault);
  return { statusCode, headers, cookies, body: bodyBytes(body, isBase64Encoded === true) };
}

/** Of two names that differ only in case the last counts. */
export function lowerCaseNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, text]) => [name.toLowerCase(), text]));
}

function headBytes(headers: Readonly<Record<string, string>>, cookies: readonly string[]): number {
  return [...Object.entries(headers).flat(), ...cookies].reduce(
    (sum, text) => sum + Buffer.byteLength(text),
    0,
  );
}

function invalid(what: string): GatewayError {
  return new GatewayError('invalid_response', `The function's response is not valid: ${what}.`);
}

function isLambdaShaped(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && 'statusCode' in value;
}

function bodyBytes(body: unknown, isBase64Encoded: boolean): Uint8Array {
  if (body === undefined || body === null) return new Uint8Array();
  if (typeof body === 'string') return Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  return jsonBytes(body);
}

/** @throws GatewayError `invalid_response` */
function jsonBytes(value: unknown): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(value ?? null));
  } catch (error) {
    // Text can be parsed to a depth at which it cannot be written again.
    if (error instanceof RangeError) throw invalid('it is nested too deeply');
    throw error;
  }
}
