import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { type Config, parseConfig } from '../config.ts';

/** The configuration of this shell: its environment, and what `.env` adds to it. */
export function configOfShell(overrides: Record<string, string> = {}): Config {
  if (existsSync('.env')) loadEnvFile('.env');
  return parseConfig({ ...process.env, ...overrides });
}
