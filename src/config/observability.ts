import { z } from 'zod';
import { decimal, flag, optionalUrl } from './values.ts';

/** The standard's names, save those that need a remote configuration. */
const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** Metrics and traces. */
export const observability = {
  METRICS_TOKEN: z
    .string()
    .min(16, 'must be at least 16 characters; make one with: openssl rand -hex 24')
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
  OTEL_TRACES_SAMPLER_ARG: decimal(0, 1)
    .default(1)
    .describe('The share of them, for the samplers with `traceidratio`'),
  OTEL_SDK_DISABLED: flag.default(false).describe('Send no traces, whatever else is set'),
};
