import { z } from 'zod';
import { audit } from './audit.ts';
import { executions } from './executions.ts';
import { isolation } from './isolation.ts';
import { kept } from './kept.ts';
import { keys } from './keys.ts';
import { limits } from './limits.ts';
import { observability } from './observability.ts';
import { serving } from './serving.ts';

/** Every setting, by the name of its environment variable. Descriptions become the README's table, in this order. */
export const settings = z.object({
  ...serving,
  ...isolation,
  ...executions,
  ...limits,
  ...kept,
  ...observability,
  ...audit,
  ...keys,
});

/** Every setting, checked and with its default. */
export type Settings = z.output<typeof settings>;
