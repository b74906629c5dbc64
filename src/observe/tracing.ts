import type { Config } from '../config.ts';
import type { Tracer } from '../core/observer.ts';

export type TracingConfig = Pick<
  Config,
  | 'OTEL_EXPORTER_OTLP_ENDPOINT'
  | 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'
  | 'OTEL_SERVICE_NAME'
  | 'OTEL_TRACES_SAMPLER'
  | 'OTEL_TRACES_SAMPLER_ARG'
  | 'OTEL_SDK_DISABLED'
>;

export interface TracingOptions {
  config: TracingConfig;
  version: string;
  /** Told of spans that could not be sent. */
  onError: (error: unknown) => void;
}

/** A tracer and the way to its collector. Closing it sends what is still there. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
}

/** What sends traces, when a collector is configured; nothing of it is loaded otherwise. */
export async function openTracing(options: TracingOptions): Promise<Tracing | undefined> {
  const url = collectorOf(options.config);
  if (url === undefined) return undefined;
  const { OtelTracing } = await import('./otel.ts');
  return new OtelTracing({ ...options, url });
}

/** OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP". */
function collectorOf(config: TracingConfig): string | undefined {
  if (config.OTEL_SDK_DISABLED) return undefined;
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces, OTEL_EXPORTER_OTLP_ENDPOINT: base } = config;
  return traces ?? (base && `${base.replace(/\/+$/, '')}/v1/traces`);
}
