import { z } from '@hono/zod-openapi';
import { versionNumberSchema } from './schemas.ts';

const VERSION = /^[1-9]\d{0,8}$/;

const weights = z
  .record(
    z.string().regex(VERSION, 'must be the number of a version'),
    z.number().gt(0, 'must be more than 0').lt(1, 'must be less than 1'),
  )
  .refine((shares) => Object.keys(shares).length <= 1, 'must name one other version at most')
  .openapi({
    type: 'object',
    additionalProperties: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
    description: 'Another version, by its number, and its share of the calls; `version` gets the rest',
  });

/** What `PUT /v1/events/{name}/aliases/{alias}` takes. */
export const newAliasSchema = z
  .strictObject({ version: versionNumberSchema, weights: weights.default({}) })
  .superRefine(({ version, weights }, context) => {
    if (!Object.hasOwn(weights, String(version))) return;
    const message = 'is the version that gets the rest; name another one';
    context.addIssue({ code: 'custom', path: ['weights', String(version)], message });
  })
  .openapi('NewAlias', { example: { version: 1 } });

const time = z.iso.datetime();

export const aliasSchema = z
  .object({
    name: z.string(),
    event: z.string(),
    url: z.url(),
    version: z.int(),
    weights: z.record(z.string(), z.number()),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Alias', {
    example: {
      name: 'live',
      event: 'hello',
      url: 'http://127.0.0.1:8787/e/hello:live',
      version: 1,
      weights: { 2: 0.1 },
      createdAt: '2026-01-02T03:04:05.678Z',
      updatedAt: '2026-01-02T03:04:05.678Z',
    },
  });

export const aliasListSchema = z.object({ items: z.array(aliasSchema) }).openapi('AliasList');
