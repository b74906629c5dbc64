import { existsSync, readFileSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { ENGINE_SETTINGS } from '../config/engine-faults.ts';
import { type Config, ConfigError, parseConfig } from '../config.ts';
import { messageOf } from '../errors.ts';

/**
 * The configuration of this shell: its environment, what `.env` adds to it, and the defaults given here for what neither sets.
 * @throws ConfigError
 */
export function configOfShell(defaults: Readonly<Record<string, string>> = {}): Config {
  return parseConfig(environment(defaults));
}

/**
 * The same for a command that asks no engine: what the docker command of this shell is told is none of its business.
 * @throws ConfigError
 */
export function configWithoutEngines(): Config {
  const env = environment({});
  for (const name of ENGINE_SETTINGS) delete env[name];
  return parseConfig(env);
}

function environment(defaults: Readonly<Record<string, string>>): Record<string, string | undefined> {
  if (existsSync('.env')) loadEnvFile('.env');
  const given = Object.entries(process.env).filter(([, value]) => value !== undefined && value !== '');
  const env: Record<string, string | undefined> = { ...defaults, ...Object.fromEntries(given) };
  if (env.TIERS_FILE !== undefined && env.TIERS === undefined) env.TIERS = readTiers(env.TIERS_FILE);
  return env;
}

function readTiers(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`TIERS_FILE: ${path} cannot be read: ${messageOf(error)}`);
  }
}
