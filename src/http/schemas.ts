import { z } from '@hono/zod-openapi';
import { EVENT_NAME, RUNTIMES } from '../core/event.ts';
import { INVOCATION_STATUSES } from '../core/invocation.ts';
import { MIN_ISOLATIONS, SECURITY_LEVELS } from '../core/isolation.ts';
import { SELF_TEST_STATUSES } from '../core/self-test.ts';
import { TRIGGERS } from '../core/trigger.ts';
import { asyncPatchSchema, asyncSchema, asyncViewSchema } from './async-schemas.ts';
import { authPatchSchema, authSchema, authViewSchema } from './webhook-schemas.ts';

export { EVENT_NAME };

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Set by the gateway itself: a function that sets them would deceive its runtime. */
const RESERVED_NAME = /^(CRONIUM_.*|AWS_LAMBDA_.*|_HANDLER|_TRACEPARENT)$/;
const MAX_CODE_BYTES = 1_048_576;
const MAX_VARIABLES_BYTES = 65_536;

const encodable = (text: string) => text.isWellFormed() && !text.includes('\0');

const variables = z
  .record(z.string(), z.string())
  .superRefine((values, context) => {
    const fault = (name: string, message: string) =>
      context.addIssue({ code: 'custom', path: name === '' ? [] : [name], message });
    let bytes = 0;
    for (const [name, value] of Object.entries(values)) {
      bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
      if (!VARIABLE_NAME.test(name))
        fault(name, `${JSON.stringify(name)} must match ${VARIABLE_NAME.source}`);
      else if (RESERVED_NAME.test(name)) fault(name, 'is a name that the gateway sets itself');
      if (!encodable(value)) fault(name, 'must be Unicode text without NUL');
    }
    if (bytes > MAX_VARIABLES_BYTES)
      fault('', `must not take more than ${MAX_VARIABLES_BYTES} bytes together`);
  })
  .openapi({ type: 'object', additionalProperties: { type: 'string' } });

const settings = {
  name: z
    .string()
    .regex(EVENT_NAME, `must match ${EVENT_NAME.source}`)
    .openapi({ example: 'hello', description: 'Unique in a gateway: it is the function’s URL' }),
  runtime: z.enum(RUNTIMES),
  code: z
    .string()
    .min(1, 'must not be empty')
    .refine(
      (code) => Buffer.byteLength(code) <= MAX_CODE_BYTES,
      `must not be more than ${MAX_CODE_BYTES} bytes`,
    )
    .refine(encodable, 'must be Unicode text without NUL'),
  description: z.string().max(1_000).refine(encodable, 'must be Unicode text without NUL').default(''),
  auth: authSchema.optional().openapi({
    description: 'Who may call: `jwt`, the default; `public`; or the senders of a webhook, by what they sign',
  }),
  timeoutMs: z.int().min(1).max(900_000).optional(),
  memoryMb: z.int().min(32).max(65_536).optional(),
  cpus: z.number().min(0.05).max(64).optional(),
  minIsolation: z.enum(MIN_ISOLATIONS).optional().openapi({
    description:
      'What must isolate the function at the least: a security level, or gvisor for a kernel of its own. A gateway that gives less answers calls with 503',
  }),
  env: variables.default({}),
  secrets: variables.optional().openapi({
    description: 'Encrypted at rest and never returned; a replacement without them keeps those there are',
  }),
  enabled: z.boolean().default(true),
  async: asyncSchema.optional().openapi({ description: 'How calls run that nobody waits for' }),
};

const namesOnce = (
  body: { env: Record<string, string>; secrets?: Record<string, string> | undefined },
  context: z.RefinementCtx,
) => {
  for (const name of Object.keys(body.secrets ?? {})) {
    if (!Object.hasOwn(body.env, name)) continue;
    context.addIssue({ code: 'custom', path: ['secrets', name], message: 'is in env too' });
  }
};

const EXAMPLE = {
  name: 'hello',
  runtime: 'python',
  code: 'def handler(event, context):\n    return {"hello": "world"}\n',
};

/** What `POST /v1/events` takes. */
export const newEventSchema = z
  .strictObject(settings)
  .superRefine(namesOnce)
  .openapi('NewEvent', { example: EXAMPLE });

/** What `PUT /v1/events/{name}` takes: the whole event again; its name may be left out. */
export const eventReplacementSchema = z
  .strictObject({ ...settings, name: settings.name.optional() })
  .superRefine(namesOnce)
  .openapi('EventReplacement', { example: { runtime: EXAMPLE.runtime, code: EXAMPLE.code } });

const patchedVariables = z
  .record(z.string(), z.string().nullable())
  .nullish()
  .openapi({ type: ['object', 'null'], additionalProperties: { type: ['string', 'null'] } });

/** What `PATCH /v1/events/{name}` takes. What comes of it is validated as a replacement. */
export const eventPatchSchema = z
  .strictObject({
    name: settings.name.optional(),
    runtime: settings.runtime.optional(),
    code: settings.code.optional(),
    description: z.string().nullish(),
    auth: authPatchSchema.nullish(),
    timeoutMs: settings.timeoutMs.nullable(),
    memoryMb: settings.memoryMb.nullable(),
    cpus: settings.cpus.nullable(),
    minIsolation: settings.minIsolation.nullable(),
    env: patchedVariables,
    secrets: patchedVariables,
    enabled: z.boolean().nullish(),
    async: asyncPatchSchema,
  })
  .openapi('EventPatch', {
    description:
      'A JSON Merge Patch (RFC 7396): what is left out stays; null puts a field back to its default and removes a variable or a secret',
    example: { timeoutMs: 5_000, env: { MODE: 'fast', DEBUG: null } },
  });

export type EventPatch = z.output<typeof eventPatchSchema>;

export type EventBody = z.output<typeof eventReplacementSchema>;

const time = z.iso.datetime();

export const eventSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    url: z.url(),
    version: z.int(),
    runtime: z.enum(RUNTIMES),
    description: z.string(),
    auth: authViewSchema,
    timeoutMs: z.int(),
    memoryMb: z.int(),
    cpus: z.number(),
    minIsolation: z.enum(MIN_ISOLATIONS).nullable(),
    isolationMet: z.boolean().openapi({
      description: 'Whether this gateway gives what minIsolation demands; where not, calls are refused',
    }),
    env: z.record(z.string(), z.string()),
    secretNames: z.array(z.string()),
    enabled: z.boolean(),
    async: asyncViewSchema,
    codeSha256: z.string(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Event');

export const eventWithCodeSchema = eventSchema.extend({ code: z.string() }).openapi('EventWithCode');
export const eventListSchema = z.object({ items: z.array(eventSchema) }).openapi('EventList');

export const eventVersionSchema = z
  .object({
    version: z.int(),
    current: z
      .boolean()
      .openapi({ description: 'Whether the function’s URL without a version calls this one' }),
    url: z.url(),
    runtime: z.enum(RUNTIMES),
    timeoutMs: z.int(),
    memoryMb: z.int(),
    cpus: z.number(),
    minIsolation: z.enum(MIN_ISOLATIONS).nullable(),
    isolationMet: z.boolean().openapi({
      description: 'Whether this gateway gives what minIsolation demands; where not, calls are refused',
    }),
    env: z.record(z.string(), z.string()),
    secretNames: z.array(z.string()),
    codeSha256: z.string(),
    createdAt: time,
  })
  .openapi('EventVersion');

export const eventVersionWithCodeSchema = eventVersionSchema
  .extend({ code: z.string() })
  .openapi('EventVersionWithCode');
export const eventVersionPageSchema = z
  .object({ items: z.array(eventVersionSchema), nextCursor: z.string().nullable() })
  .openapi('EventVersionPage');

export const versionNumberSchema = z.int().min(1).max(999_999_999);

/** What `POST /v1/events/{name}/rollback` takes. */
export const rollbackSchema = z
  .strictObject({ version: versionNumberSchema })
  .openapi('Rollback', { example: { version: 1 } });

const resultSchema = z
  .object({
    statusCode: z.int(),
    headers: z.record(z.string(), z.string()),
    cookies: z.array(z.string()),
    body: z.string(),
    isBase64Encoded: z.boolean(),
  })
  .openapi('InvocationResult');

const milliseconds = z.number().optional();

export const invocationSchema = z
  .object({
    id: z.string(),
    event: z.string(),
    version: z.int(),
    status: z.enum(INVOCATION_STATUSES),
    start: z.enum(['warm', 'cold']).nullable(),
    isolation: z.string().nullable(),
    securityLevel: z.enum(SECURITY_LEVELS).nullable(),
    phases: z
      .object({
        admit: milliseconds,
        acquire: milliseconds,
        inject: milliseconds,
        exec: milliseconds,
        destroy: milliseconds,
      })
      .openapi({ description: 'Milliseconds; a phase that was not reached is absent' }),
    statusCode: z.int().nullable(),
    exit: z.object({ code: z.int().nullable(), signal: z.string().nullable() }).nullable(),
    error: z.object({ code: z.string(), message: z.string(), trace: z.string().optional() }).nullable(),
    logs: z.string(),
    logsTruncated: z.boolean(),
    createdAt: time,
    endedAt: time.nullable(),
    trigger: z.enum(TRIGGERS),
    attempt: z.int().openapi({ description: 'How often it was begun; 0 while it waits for the first time' }),
    failures: z
      .int()
      .openapi({ description: 'Attempts that the function failed, since it was accepted or redriven' }),
    replayOf: z.string().nullable(),
    result: resultSchema
      .optional()
      .openapi({ description: 'Of one that nobody waited for, once it succeeded' }),
  })
  .openapi('Invocation');

export const invocationPageSchema = z
  .object({ items: z.array(invocationSchema), nextCursor: z.string().nullable() })
  .openapi('InvocationPage');

export const pageQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: z.string().max(100).optional().openapi({ description: 'A nextCursor of an earlier page' }),
});

const selfTestSchema = z
  .object({
    status: z.enum(SELF_TEST_STATUSES).openapi({
      description: '`running` until the first has ended; a pool that `failed` serves nobody',
    }),
    at: time.nullable(),
    checks: z.array(
      z.object({
        id: z.string(),
        what: z.string(),
        holds: z.boolean().nullable().openapi({ description: 'null where it could not be tried' }),
        promised: z.boolean(),
        seen: z.string(),
        remedy: z.string().optional(),
      }),
    ),
    trouble: z.string().nullable().openapi({ description: 'Why it could not be carried out lately' }),
  })
  .openapi('SelfTest');

export const poolSchema = z
  .object({
    key: z.string(),
    runtime: z.string(),
    isolation: z.string(),
    securityLevel: z.enum(SECURITY_LEVELS),
    min: z.int(),
    target: z.int(),
    max: z.int(),
    starting: z.int(),
    ready: z.int(),
    taken: z.int(),
    waiting: z.int(),
    warmStarts: z.int(),
    coldStarts: z.int(),
    bootFailures: z.int(),
    lastError: z.string().nullable(),
    selfTest: selfTestSchema,
  })
  .openapi('Pool');
