import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import type { Tracer } from '../core/observer.ts';
import type { AnsweredRequest } from '../http/context.ts';
import type { Log } from '../logger.ts';
import { Metrics } from './metrics.ts';
import { requestLines } from './request-lines.ts';
import { openTracing } from './tracing.ts';
import type { TracingConfig } from './tracing-options.ts';

export type ObservabilityConfig = TracingConfig & Pick<Config, 'METRICS_EVENT_LABEL'>;

/** Everything through which a gateway is seen from outside. */
export interface Observability extends AsyncDisposable {
  readonly metrics: Metrics;
  /** `undefined` when no collector is configured. */
  readonly tracer: Tracer | undefined;
  /** A line in the log and a number in the metrics. */
  onAnswered(request: AnsweredRequest): void;
}

export async function openObservability(options: {
  config: ObservabilityConfig;
  log: Log;
}): Promise<Observability> {
  const { config, log } = options;
  const version = ownVersion();
  const metrics = new Metrics({ version, eventLabel: config.METRICS_EVENT_LABEL });
  const onError = (error: unknown) => log.warn({ err: error }, 'traces could not be sent');
  const tracing = await openTracing({ config, version, onError });
  const write = requestLines(log);
  return {
    metrics,
    tracer: tracing?.tracer,
    onAnswered(request) {
      write(request);
      metrics.requestAnswered(request);
    },
    async [Symbol.asyncDispose]() {
      await tracing?.[Symbol.asyncDispose]();
    },
  };
}

function ownVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
