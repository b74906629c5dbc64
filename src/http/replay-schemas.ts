import { z } from '@hono/zod-openapi';
import { versionNumberSchema } from './schemas.ts';

const POINTER = /^(\/([^~]|~[01])*)?$/;

/** What `POST /v1/invocations/{id}/replay` takes. */
export const replayRequestSchema = z
  .strictObject({ version: versionNumberSchema.optional(), alias: z.string().max(63).optional() })
  .superRefine(({ version, alias }, context) => {
    if (version === undefined || alias === undefined) return;
    context.addIssue({ code: 'custom', path: ['alias'], message: 'cannot be given beside version' });
  })
  .openapi('ReplayRequest', { example: {} });

export const replayedSchema = z
  .object({
    id: z.string(),
    status: z.literal('queued'),
    event: z.string(),
    version: z.int(),
    replayOf: z.string(),
  })
  .openapi('Replayed');

/** What `POST /v1/events/{name}/replays` takes. */
export const newReplaySchema = z
  .strictObject({
    version: versionNumberSchema.openapi({ description: 'The version to try' }),
    last: z.int().min(1).max(100).default(20).openapi({ description: 'How many of the latest invocations' }),
    compareTo: versionNumberSchema.optional().openapi({
      description:
        'A version that they are run on, too, to compare with; without it what was answered then is compared with',
    }),
    ignore: z
      .array(z.string().max(200).regex(POINTER, 'must be a JSON Pointer such as /items/0/at'))
      .max(50)
      .default([])
      .openapi({ description: 'JSON Pointers (RFC 6901) into bodies that may differ' }),
  })
  .openapi('NewReplay', { example: { version: 1, last: 20 } });

const count = z.int();
const text = z.object({ before: z.string(), after: z.string() });
const number = z.object({ before: z.number(), after: z.number() });
const durationMs = z.object({ before: z.number().nullable(), after: z.number().nullable() });
const durationRatio = z.number().nullable();

const comparisonSchema = z
  .object({
    verdict: z.enum(['same', 'different', 'unknown']).openapi({
      description: 'unknown: they agree as far as is known, and one of the answers was not kept',
    }),
    status: text.optional().openapi({ description: 'succeeded, or the code of the error' }),
    statusCode: number.optional(),
    body: z
      .discriminatedUnion('kind', [
        z.object({
          kind: z.literal('json'),
          paths: z.array(
            z.object({ path: z.string(), before: z.string().optional(), after: z.string().optional() }),
          ),
          truncated: z.boolean(),
        }),
        z.object({ kind: z.literal('text'), at: z.int(), before: z.string(), after: z.string() }),
        z.object({ kind: z.literal('binary'), before: z.int(), after: z.int() }),
      ])
      .optional(),
    durationMs,
    durationRatio,
  })
  .openapi('Comparison');

export const replaySchema = z
  .object({
    id: z.string(),
    event: z.string(),
    version: z.int(),
    compareTo: z.int().nullable(),
    status: z.enum(['running', 'done']),
    summary: z.object({
      total: count,
      pending: count,
      same: count,
      different: count,
      unknown: count,
      status: count,
      statusCode: count,
      body: count,
      durationMs,
      durationRatio,
    }),
    items: z.array(
      z.object({
        invocationId: z.string(),
        candidateId: z.string(),
        baselineId: z.string().nullable(),
        comparison: comparisonSchema.nullable(),
      }),
    ),
    createdAt: z.iso.datetime(),
  })
  .openapi('Replay');
