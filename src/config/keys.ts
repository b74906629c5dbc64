import { z } from 'zod';
import { optionalUrl } from './values.ts';

/** Whose tokens are trusted, and what encrypts secrets. */
export const keys = {
  JWT_SECRET: z
    .string()
    .optional()
    .describe('HS256 key, at least 32 bytes; made at first start when no JWT setting is given'),
  JWT_JWKS_URL: optionalUrl.describe('Key set for RS256, ES256 and EdDSA tokens, instead of JWT_SECRET'),
  JWT_ISSUER: z.string().min(1).optional().describe('Required `iss` of tokens'),
  JWT_AUDIENCE: z.string().min(1).optional().describe('Required `aud` of tokens'),
  SECRETS_KEY: z
    .string()
    .optional()
    .describe(
      "Key that encrypts events' secrets: 32 bytes as base64 or hex; made at first start when not given",
    ),
};
