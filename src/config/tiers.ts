import { z } from 'zod';
import type { Tiers } from '../core/tiers.ts';

const bound = z.number().int().min(1).max(1_000_000).nullable();

const tier = z.strictObject({
  concurrency: bound.default(null),
  ratePerMinute: bound.default(null),
  memoryMb: z.number().int().min(32).max(65_536).default(4_096),
  cpus: z.number().min(0.05).max(64).default(4),
  timeoutMs: z.number().int().min(1).max(900_000).default(900_000),
});

const tiers = z.record(z.string().regex(/^[a-z0-9_-]{1,64}$/, 'a tier is named in a-z, 0-9, _ and -'), tier);

/** `TIERS` as it is written: a JSON object of tiers by name. What a tier leaves out has the widest value. */
export const tiersSetting = z
  .string()
  .default('{}')
  .transform((text, context): Tiers => {
    const given = parseJson(text);
    if (given === undefined) {
      context.addIssue({ code: 'custom', message: 'must be JSON, such as {"pro": {"concurrency": 20}}' });
      return z.NEVER;
    }
    const parsed = tiers.safeParse(given);
    if (parsed.success) return { default: tier.parse({}), ...parsed.data };
    for (const { path, message } of parsed.error.issues) {
      context.addIssue({ code: 'custom', message: `${path.join('.') || 'it'}: ${message}` });
    }
    return z.NEVER;
  });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
