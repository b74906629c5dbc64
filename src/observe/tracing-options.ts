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
