import { z } from '@hono/zod-openapi';
import { EVENT_NAME } from '../core/event.ts';
import { type AsyncSettings, asyncOf, type Destination, LONGEST_BACKOFF_MS } from '../core/queue/settings.ts';

const MAX_URL_LENGTH = 2_048;
/** Standard Webhooks: 24 to 64 bytes. */
const SECRET = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/;

/** Whether the gateway may be asked to tell it: https or http, nobody's password in it. */
export function isCallbackUrl(text: string): boolean {
  const url = text.length <= MAX_URL_LENGTH ? URL.parse(text) : null;
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}

export const CALLBACK_URL_RULE = `must be an http or https URL without a user, of at most ${MAX_URL_LENGTH} characters`;

const destinationSchema = z
  .union([
    z.strictObject({
      url: z.string().refine(isCallbackUrl, CALLBACK_URL_RULE),
      secret: z.string().regex(SECRET, 'must be whsec_ and 24 to 64 bytes as base64').optional(),
    }),
    z.strictObject({ event: z.string().regex(EVENT_NAME, `must match ${EVENT_NAME.source}`) }),
  ])
  .openapi('Destination', {
    description:
      'A URL that is told by a signed POST, or another of your events that is called. `secret` is never returned',
  });

/** The settings of an event for calls that nobody waits for; what is left out takes its default. */
export const asyncSchema = z
  .strictObject({
    attempts: z.int().min(1).max(100).optional(),
    backoffMs: z.int().min(0).max(LONGEST_BACKOFF_MS).optional(),
    maxBackoffMs: z.int().min(0).max(LONGEST_BACKOFF_MS).optional(),
    maxAgeMs: z.int().min(1_000).max(1_209_600_000).optional(),
    concurrency: z.int().min(1).max(10_000).nullable().optional(),
    onSuccess: destinationSchema.nullable().optional(),
    onFailure: destinationSchema.nullable().optional(),
  })
  .openapi('AsyncSettings');

export const asyncPatchSchema = z
  .strictObject({
    attempts: z.int().nullish(),
    backoffMs: z.int().nullish(),
    maxBackoffMs: z.int().nullish(),
    maxAgeMs: z.int().nullish(),
    concurrency: z.int().nullish(),
    onSuccess: destinationSchema.nullish(),
    onFailure: destinationSchema.nullish(),
  })
  .nullish();

const destinationView = z.union([z.object({ url: z.string() }), z.object({ event: z.string() })]).nullable();

export const asyncViewSchema = z.object({
  attempts: z.int(),
  backoffMs: z.int(),
  maxBackoffMs: z.int(),
  maxAgeMs: z.int(),
  concurrency: z.int().nullable(),
  onSuccess: destinationView,
  onFailure: destinationView,
});

/** What was given, without what was not. */
export function asyncGiven(body: z.output<typeof asyncSchema> | undefined): Partial<AsyncSettings> {
  const given = Object.entries(body ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Partial<AsyncSettings>;
}

/** JSON Merge Patch, one level deep: a destination is replaced as a whole. */
export function patchedAsync(
  before: Partial<AsyncSettings> | undefined,
  patch: z.output<typeof asyncPatchSchema>,
): Partial<AsyncSettings> {
  if (patch === undefined) return before ?? {};
  const merged = Object.entries({ ...(patch === null ? {} : before), ...patch });
  return Object.fromEntries(merged.filter(([, value]) => value !== null && value !== undefined));
}

export function asyncViewOf(event: { async?: Partial<AsyncSettings> }): z.infer<typeof asyncViewSchema> {
  const settings = asyncOf(event);
  return {
    ...settings,
    onSuccess: destinationViewOf(settings.onSuccess),
    onFailure: destinationViewOf(settings.onFailure),
  };
}

function destinationViewOf(destination: Destination | null) {
  if (destination === null || 'event' in destination) return destination;
  return { url: destination.url };
}
