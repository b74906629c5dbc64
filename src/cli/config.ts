import { existsSync, readFileSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { type Config, ConfigError, parseConfig } from '../config.ts';
import { messageOf } from '../errors.ts';

/**
 * The configuration of this shell: its environment, what `.env` adds to it, and the defaults given here for what neither sets.
 * @throws ConfigError
 */
export function configOfShell(defaults: Readonly<Record<string, string>> = {}): Config {
  if (existsSync('.env')) loadEnvFile('.env');
  const given = Object.entries(process.env).filter(([, value]) => value !== undefined && value !== '');
  const env: Record<string, string | undefined> = { ...defaults, ...Object.fromEntries(given) };
  if (env.TIERS_FILE !== undefined && env.TIERS === undefined) env.TIERS = readTiers(env.TIERS_FILE);
  return parseConfig(env);
}

function readTiers(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`TIERS_FILE: ${path} cannot be read: ${messageOf(error)}`);
  }
}
