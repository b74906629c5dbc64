import { whole } from './values.ts';

/** What is kept for users, and for how long. */
export const kept = {
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
};
