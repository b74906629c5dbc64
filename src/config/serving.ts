import { z } from 'zod';
import { optionalUrl, whole } from './values.ts';

/** As a browser names it: without a path, and not `null`, which is many. */
const isOrigin = (text: string) =>
  /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
const origins = z
  .string()
  .transform((text) => text.split(',').map((each) => each.trim()))
  .refine((all) => all.every((each) => each === '*' || isOrigin(each)), {
    error: 'must be origins as browsers write them, such as https://app.example.com, or *',
  });

/** libpq's URLs may lack a host, as for a Unix socket: `postgresql:///name?host=/run/postgresql`. */
const isPostgresUrl = (text: string) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text);

/** Where the gateway is reached, and where it keeps its own. */
export const serving = {
  HOST: z.string().default('127.0.0.1').describe('Address to listen on'),
  PORT: whole(0, 65_535).default(8787).describe('Port to listen on; 0 takes a free one'),
  PUBLIC_URL: optionalUrl.describe('Where callers reach the gateway, for the URLs it prints'),
  CORS_ORIGINS: origins
    .optional()
    .describe('Origins, separated by commas, whose pages may call functions from a browser; `*` for all'),
  DATA_DIR: z.string().min(1).default('./data').describe('Database, generated secrets and lock'),
  DATABASE_URL: z
    .string()
    .refine(isPostgresUrl, 'must be a URL such as postgres://user:password@host:5432/database')
    .optional()
    .describe('Postgres database to use instead of SQLite in DATA_DIR'),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least level that is logged'),
};
