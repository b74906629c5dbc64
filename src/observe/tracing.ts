import type { Tracing, TracingConfig, TracingOptions } from './tracing-options.ts';

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
