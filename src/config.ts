import { z } from 'zod';
import { isAtLeast, SECURITY_LEVELS, type SecurityLevel } from './core/isolation.ts';
import { tiersSetting } from './tiers-config.ts';

const flag = z.stringbool({ truthy: ['true', '1', 'yes', 'on'], falsy: ['false', '0', 'no', 'off'] });
const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
/** As a browser names it: without a path, and not `null`, which is many. */
const isOrigin = (text: string) =>
  /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
const origins = z
  .string()
  .transform((text) => text.split(',').map((each) => each.trim()))
  .refine((all) => all.every((each) => each === '*' || isOrigin(each)), {
    error: 'must be origins as browsers write them, such as https://app.example.com, or *',
  });
const optionalUrl = z.url({ protocol: /^https?$/ }).optional();

/** As engines name runtimes, and containerd its shims: `runsc`, `io.containerd.kata.v2`. */
const OCI_RUNTIME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/;
const JWT_SECRET_MIN_BYTES = 32;
/** The standard's names, save those that need a remote configuration. */
const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** libpq's URLs may lack a host, as for a Unix socket: `postgresql:///name?host=/run/postgresql`. */
const isPostgresUrl = (text: string) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text);

/** Every setting, by the name of its environment variable. Descriptions become the README's table. */
export const settings = z.object({
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

  ISOLATION_MODE: z
    .enum(['auto', 'docker', 'podman', 'bubblewrap'])
    .default('auto')
    .describe('What isolates functions; `auto` takes the strongest that works here'),
  RUNTIME: z
    .string()
    .regex(OCI_RUNTIME, 'must be auto, gvisor, or the name of an OCI runtime such as runc, crun or kata')
    .default('auto')
    .describe(
      'OCI runtime of the engine: `gvisor` or another by its name; `auto` takes gVisor where it is proved',
    ),
  SECURITY_LEVEL: z
    .enum(SECURITY_LEVELS)
    .default('basic')
    .describe('What every sandbox must meet, or the gateway does not start'),
  DOCKER_HOST: z.string().min(1).optional().describe('Docker engine to use, as for the docker command'),
  PODMAN_HOST: z
    .string()
    .min(1)
    .optional()
    .describe("Podman's socket, as a URL; the user's or the system's own when not given"),
  CONTAINER_HOST: z.string().min(1).optional().describe("The same by Podman's own name for it"),
  PYTHON_BASE_IMAGE: z
    .string()
    .min(1)
    .default('python:3.13-slim-bookworm')
    .describe('Image that the Python and Bash sandboxes are built on'),
  NODE_BASE_IMAGE: z
    .string()
    .min(1)
    .default('node:24-bookworm-slim')
    .describe('Image that the Node.js sandboxes are built on'),
  RESOURCE_LIMITS_ENABLED: flag.default(true).describe('Enforce memory, CPU and process limits'),

  MAX_CONCURRENT_EXECUTIONS: whole(1, 10_000).default(10).describe('Invocations that run at once'),
  MAX_ASYNC_EXECUTIONS: whole(0, 10_000)
    .optional()
    .describe('Of those, the most that nobody waits for; half of them when not given'),
  MAX_QUEUED_EXECUTIONS: whole(0, 100_000)
    .default(1_000)
    .describe('Invocations that may wait for their turn'),
  QUEUE_TIMEOUT_MS: whole(1, 600_000).default(10_000).describe('Longest wait for a turn and a sandbox, ms'),
  TIERS: tiersSetting.describe(
    'Tiers by name, as JSON: `concurrency`, `ratePerMinute`, `memoryMb`, `cpus`, `timeoutMs`; `default` is for tokens without one',
  ),
  TIERS_FILE: z.string().min(1).optional().describe('File with the same, instead of TIERS'),
  MIN_FREE_MEMORY_MB: whole(0, 1_048_576)
    .default(256)
    .describe('With less memory available on the host (Linux), no sandbox is booted, MiB'),
  POOL_MIN: whole(0, 1_000)
    .default(1)
    .describe('Sandboxes per runtime that are warm even when nothing is called'),
  POOL_TARGET: whole(0, 1_000).default(3).describe('Warm sandboxes to keep ready while a runtime is in use'),
  POOL_MAX: whole(1, 10_000).default(20).describe('Most sandboxes per pool, warm and running together'),
  POOL_IDLE_MS: whole(100, 86_400_000)
    .default(300_000)
    .describe('A pool not called for so long shrinks to its minimum, ms'),
  POOL_MAX_AGE_MS: whole(100, 86_400_000)
    .default(3_600_000)
    .describe('A warm sandbox is replaced at this age, ms'),
  MAX_SANDBOXES: whole(1, 100_000)
    .default(50)
    .describe('Most sandboxes over all pools, warm and running together'),
  BOOT_CONCURRENCY: whole(1, 100).default(4).describe('Sandboxes that boot at once'),
  BOOT_TIMEOUT_MS: whole(100, 600_000)
    .default(30_000)
    .describe('A sandbox that is not ready by then has failed, ms'),
  LEASE_MS: whole(1_000, 600_000)
    .default(15_000)
    .describe(
      'A gateway that is not heard of for so long is taken for dead, and its queued work goes on elsewhere, ms',
    ),
  CALLBACK_ALLOW_PRIVATE: flag
    .default(false)
    .describe('Let callbacks and destinations reach private, loopback and link-local addresses'),
  SHUTDOWN_GRACE_MS: whole(0, 600_000)
    .default(10_000)
    .describe('How long running invocations may go on after SIGTERM, ms'),

  DEFAULT_TIMEOUT_MS: whole(1, 900_000).default(30_000).describe('Timeout of an event that names none, ms'),
  DEFAULT_MEMORY_MB: whole(32, 65_536).default(512).describe('Memory of an event that names none, MiB'),
  DEFAULT_CPUS: z.coerce.number().min(0.05).max(64).default(0.5).describe('CPUs of an event that names none'),
  MAX_PIDS: whole(8, 32_768).default(128).describe('Processes and threads in a sandbox'),
  TMP_BYTES: whole(1_048_576, 10_737_418_240)
    .default(104_857_600)
    .describe('Size of /tmp in a sandbox, bytes'),
  RUN_BYTES: whole(1_048_576, 10_737_418_240)
    .default(10_485_760)
    .describe('Size of /run in a sandbox, bytes'),
  HEADERS_TIMEOUT_MS: whole(100, 600_000)
    .default(10_000)
    .describe('How long the headers of a request may take to arrive, ms'),
  REQUEST_TIMEOUT_MS: whole(100, 3_600_000)
    .default(60_000)
    .describe('How long a whole request may take to arrive, ms'),
  MAX_BODY_BYTES: whole(1, 33_554_432).default(6_291_456).describe('Largest request body, bytes'),
  MAX_RESPONSE_BYTES: whole(1, 33_554_432)
    .default(6_291_456)
    .describe('Largest response that is returned whole, bytes'),
  MAX_STREAM_BYTES: whole(1, 1_099_511_627_776)
    .default(104_857_600)
    .describe('Largest streamed response, bytes'),
  IDEMPOTENCY_TTL_MS: whole(1_000, 2_592_000_000)
    .default(86_400_000)
    .describe('How long the answer to a request with an Idempotency-Key is kept, ms'),
  MAX_LOG_BYTES: whole(0, 16_777_216).default(262_144).describe('Log that is kept of an invocation, bytes'),

  MAX_VARIABLES: whole(0, 1_000_000)
    .default(1_000)
    .describe('Variables that a user may keep; 0 means that functions have none'),
  MAX_VARIABLES_BYTES: whole(0, 1_073_741_824)
    .default(4_194_304)
    .describe('Names and values of the variables of a user together, bytes'),
  KEEP_PAYLOAD_BYTES: whole(0, 33_554_432)
    .default(65_536)
    .describe(
      'Largest payload, and largest answer, that is kept of a call so that it can be run again, bytes; 0 keeps none',
    ),

  RETENTION_DAYS: whole(0, 36_500)
    .default(30)
    .describe('Records of invocations that ended are kept so long, days; 0 keeps them for ever'),
  RETENTION_BODY_DAYS: whole(0, 36_500)
    .default(7)
    .describe('Their payloads and results, days; 0 keeps them as long as the record'),
  RETENTION_LOG_DAYS: whole(0, 36_500)
    .default(0)
    .describe('Their logs, days; 0 keeps them as long as the record'),
  RETENTION_MAX_BODY_BYTES: whole(0, Number.MAX_SAFE_INTEGER)
    .default(1_073_741_824)
    .describe('Payloads and results together, bytes: the oldest go first; 0 sets no limit'),

  METRICS_TOKEN: z
    .string()
    .min(16)
    .optional()
    .describe('Bearer token that `/metrics` then demands, at least 16 characters'),
  METRICS_EVENT_LABEL: flag
    .default(false)
    .describe('Count invocations by the name of the event too; needs METRICS_TOKEN'),
  OTEL_EXPORTER_OTLP_ENDPOINT: optionalUrl.describe(
    'OpenTelemetry collector (OTLP over HTTP, as JSON) that traces go to; its other OTEL_ variables hold too',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optionalUrl.describe(
    'The same for traces alone, with its path: /v1/traces is not added',
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .literal('http/json', 'must be http/json, which every collector takes where it takes http/protobuf')
    .default('http/json')
    .describe('How traces travel; there is no other way than this'),
  OTEL_SERVICE_NAME: z.string().min(1).optional().describe('The name of this gateway in traces'),
  OTEL_TRACES_SAMPLER: z
    .enum(SAMPLERS)
    .default('parentbased_always_on')
    .describe('Which invocations are traced'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('The share of them, for the samplers with `traceidratio`'),
  OTEL_SDK_DISABLED: flag.default(false).describe('Send no traces, whatever else is set'),

  AUDIT_LOG: flag
    .default(true)
    .describe('Write down who changed, called and was refused what, in `DATA_DIR/audit`'),
  AUDIT_FAIL_CLOSED: flag
    .default(false)
    .describe(
      'Refuse calls and changes (503) while the audit log cannot be written; `true` at SECURITY_LEVEL=paranoid',
    ),
  AUDIT_MAX_BYTES: whole(65_536, 1_073_741_824)
    .default(16_777_216)
    .describe('Size at which a file of the audit log is followed by another, bytes'),
  AUDIT_MAX_FILES: whole(2, 1_000)
    .default(8)
    .describe('Files that each of the three chains of the audit log keeps'),
  SIGNING_KEY: z
    .string()
    .optional()
    .describe(
      'Ed25519 private key that signs the audit log and receipts: 32 bytes as base64 or hex; made at first start when not given',
    ),

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
});

/** The gateway's configuration: every setting, checked and with its default. */
export type Config = z.output<typeof settings>;

export interface ConfigFault {
  name: string;
  message: string;
}

/** Faults beyond the type of one setting. A setting that has a fault of its own is left out of what is looked at. */
function faultsAmong(env: Partial<Config>): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault = (name: keyof Config, message: string) => faults.push({ name, message });
  if (env.ISOLATION_MODE === 'bubblewrap' && env.RUNTIME !== undefined && env.RUNTIME !== 'auto') {
    fault('RUNTIME', `must be auto with ISOLATION_MODE=bubblewrap, which has no OCI runtimes`);
  }
  if (env.JWT_SECRET !== undefined && Buffer.byteLength(env.JWT_SECRET) < JWT_SECRET_MIN_BYTES) {
    fault(
      'JWT_SECRET',
      `must be at least ${JWT_SECRET_MIN_BYTES} bytes; make one with: openssl rand -base64 32`,
    );
  }
  if (env.JWT_SECRET !== undefined && env.JWT_JWKS_URL !== undefined) {
    fault(
      'JWT_JWKS_URL',
      'set JWT_SECRET or JWT_JWKS_URL, not both: one gateway trusts one issuer of tokens',
    );
  }
  if (env.SECRETS_KEY !== undefined && decodeKey(env.SECRETS_KEY) === undefined) {
    fault('SECRETS_KEY', 'must be 32 bytes as base64 or hex; make one with: openssl rand -base64 32');
  }
  if (env.SIGNING_KEY !== undefined && decodeKey(env.SIGNING_KEY) === undefined) {
    fault('SIGNING_KEY', 'must be 32 bytes as base64 or hex; make one with: openssl rand -base64 32');
  }
  if (env.AUDIT_FAIL_CLOSED && env.AUDIT_LOG === false && env.SECURITY_LEVEL !== 'paranoid') {
    fault('AUDIT_FAIL_CLOSED', 'needs AUDIT_LOG=true: there is no log that could fail');
  }
  if (env.METRICS_EVENT_LABEL && env.METRICS_TOKEN === undefined) {
    fault(
      'METRICS_EVENT_LABEL',
      'names of events are not for everybody: set METRICS_TOKEN; make one with: openssl rand -hex 24',
    );
  }
  if (env.SECURITY_LEVEL !== undefined) faults.push(...faultsAtLevel(env, env.SECURITY_LEVEL));
  if (env.POOL_MIN! > env.POOL_TARGET!)
    fault('POOL_MIN', `must not be more than POOL_TARGET (${env.POOL_TARGET})`);
  if (env.POOL_TARGET! > env.POOL_MAX!)
    fault('POOL_TARGET', `must not be more than POOL_MAX (${env.POOL_MAX})`);
  return faults;
}

/** An image as nobody can change it behind its name: by the digest of its manifest, or by the id of one that the engine has. */
const IMAGE_BY_DIGEST = /^([^@\s]+@)?sha256:[0-9a-f]{64}$/;

/** What a security level demands of the other settings. */
export function faultsAtLevel(env: Partial<Config>, level: SecurityLevel): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const demand = (name: keyof Config, isMet: boolean, message: string) => {
    if (!isMet) faults.push({ name, message: `${message} at SECURITY_LEVEL=${level}` });
  };
  if (isAtLeast(level, 'enhanced'))
    demand('RESOURCE_LIMITS_ENABLED', env.RESOURCE_LIMITS_ENABLED !== false, 'must be true');
  if (!isAtLeast(level, 'paranoid')) return faults;
  demand('AUDIT_LOG', env.AUDIT_LOG !== false, 'must be true');
  demand('AUDIT_FAIL_CLOSED', env.AUDIT_FAIL_CLOSED !== false, 'must be true');
  for (const name of ['PYTHON_BASE_IMAGE', 'NODE_BASE_IMAGE'] as const) {
    const image = env[name];
    const isFixed = image === undefined || IMAGE_BY_DIGEST.test(image);
    demand(name, isFixed, `must name its image by digest, as in ${image}@sha256:…, or by its id (sha256:…),`);
  }
  return faults;
}

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

/** The 32 bytes that a key in base64 or hex stands for; `undefined` when it is neither. */
export function decodeKey(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 32 && /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? bytes : undefined;
}
