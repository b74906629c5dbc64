import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { headerFault } from '../core/header-syntax.ts';
import { lowerCaseNames } from '../core/response.ts';
import { ProtocolViolation } from './frames.ts';

/** What an agent's JSON frames must look like. Strings are cut and not refused: a long message is no violation. */
const text = (limit: number) => z.string().transform((value) => value.slice(0, limit));

const exit = z
  .object({ code: z.number().int().nullable(), signal: z.string().max(20).nullable() })
  .nullish()
  .transform((value) => value ?? null);
const droppedLogBytes = z.number().int().nonnegative().default(0);

export const readyMessage = z.object({
  protocol: z.literal(1),
  runtime: z.string().max(64),
  runtimeVersion: z.string().max(64).optional(),
  /** What the agent can do beyond the first agents; one that knows nothing of it says nothing. */
  features: z.array(z.string().max(64)).max(64).default([]),
});

export const headMessage = z
  .object({
    statusCode: z.number().int().min(200).max(599).default(200),
    headers: z
      .record(z.string().max(256), z.union([z.string(), z.number(), z.boolean()]).transform(String))
      .transform(lowerCaseNames)
      .default({}),
    cookies: z.array(z.string().max(8_192)).max(64).default([]),
  })
  .superRefine(({ headers, cookies }, context) => {
    const message = headerFault(headers, cookies);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

export const endMessage = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ok'), exit, droppedLogBytes }),
  z.object({
    status: z.literal('error'),
    error: z.object({
      code: z.enum(['function_error', 'out_of_memory', 'invalid_response', 'response_too_large']),
      type: text(1_024).optional(),
      message: text(8_192),
      trace: text(65_536).optional(),
    }),
    exit,
    droppedLogBytes,
  }),
]);

export const callMessage = z.object({ id: z.int().positive(), method: z.string().max(64) });

/** Names and values are checked where they are used, so that the function is told what is wrong with them. */
export const variableMessage = z.discriminatedUnion('method', [
  z.object({ method: z.literal('variable.get'), name: z.string() }),
  z.object({ method: z.literal('variable.delete'), name: z.string() }),
  z.object({ method: z.literal('variable.increment'), name: z.string(), by: z.number() }),
  z.object({
    method: z.literal('variable.set'),
    name: z.string(),
    value: z.string(),
    revision: z.string().max(64).nullish(),
  }),
]);
export const VARIABLE_METHODS: ReadonlySet<string> = new Set(
  variableMessage.options.flatMap(({ shape }) => [...shape.method.values]),
);

/**
 * Reads a JSON frame.
 * @throws ProtocolViolation when it is not JSON or not of the schema
 */
export function readMessage<T>(schema: z.ZodType<T>, payload: Buffer, name: string): T {
  const parsed = schema.safeParse(readJson(payload, name));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ProtocolViolation(
    `${name} is not valid: ${issue?.path.join('.').slice(0, 200)} ${issue?.message}`,
  );
}

/** @throws ProtocolViolation when it is not JSON */
export function readJson(payload: Buffer, name: string): unknown {
  if (!isUtf8(payload)) throw new ProtocolViolation(`${name} is not UTF-8`);
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    throw new ProtocolViolation(`${name} is not JSON`);
  }
}
