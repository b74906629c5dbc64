import { decimal, whole } from './values.ts';

/** What one invocation, or one request, may use. */
export const limits = {
  DEFAULT_TIMEOUT_MS: whole(1, 900_000).default(30_000).describe('Timeout of an event that names none, ms'),
  DEFAULT_MEMORY_MB: whole(32, 65_536).default(512).describe('Memory of an event that names none, MiB'),
  DEFAULT_CPUS: decimal(0.05, 64).default(0.5).describe('CPUs of an event that names none'),
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
};
