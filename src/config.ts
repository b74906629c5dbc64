import { faultsAmong } from './config/faults.ts';
import type { ConfigFault } from './config/level-faults.ts';
import { type Settings, settings } from './config/settings.ts';

/** The gateway's configuration. */
export type Config = Settings;

/** The configuration is not usable; the message has a line for every fault, by variable name. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads a configuration from environment variables; an empty variable counts as not set, as in compose files.
 * @throws ConfigError naming every faulty variable at once
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  if (given.SECURITY_LEVEL === 'paranoid') given.AUDIT_FAIL_CLOSED ??= 'true';
  const parsed = Object.entries(settings.shape).map(([name, schema]) => ({
    name,
    ...schema.safeParse(given[name]),
  }));
  const config = Object.fromEntries(
    parsed.flatMap(({ name, data }) => (data === undefined ? [] : [[name, data]])),
  );
  const faults = parsed.flatMap(({ name, error }) =>
    (error?.issues ?? []).map(({ message }): ConfigFault => ({ name, message })),
  );
  faults.push(...faultsAmong(config));
  if (faults.length === 0) return config as Config;
  const lines = faults.map(({ name, message }) => `  ${name}: ${message}`);
  throw new ConfigError(
    `The configuration has ${lines.length === 1 ? 'a fault' : 'faults'}:\n${lines.join('\n')}`,
  );
}
