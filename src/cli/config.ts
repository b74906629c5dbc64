import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { type Config, parseConfig } from '../config.ts';

/**
 * The configuration of this shell: its environment, what `.env` adds to it, and the defaults given here for what neither sets.
 * @throws ConfigError
 */
export function configOfShell(defaults: Readonly<Record<string, string>> = {}): Config {
  if (existsSync('.env')) loadEnvFile('.env');
  const given = Object.entries(process.env).filter(([, value]) => value !== undefined && value !== '');
  return parseConfig({ ...defaults, ...Object.fromEntries(given) });
}
