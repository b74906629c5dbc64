import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Context,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace as traces,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Invocation } from '../core/invocation.ts';
import type { InvokeRequest } from '../core/invoke.ts';
import type { Trace, Tracer } from '../core/observer.ts';
import { formatTraceparent, parseTraceparent } from '../core/traceparent.ts';
import type { Tracing, TracingConfig, TracingOptions } from './tracing-options.ts';

const SERVICE = 'cronium-gateway';
/** A collector that is away must not hold a shutdown up for longer, ms. */
const SHUTDOWN_MS = 3_000;
/** What follows each other from the request to the answer. */
const PHASES = ['admit', 'acquire', 'inject', 'exec'] as const;

/** Sends a span for each invocation, with its phases as children, by the official SDK. Registers nothing globally. */
export class OtelTracing implements Tracing {
  readonly tracer: Tracer;
  readonly #provider: TracerProvider;

  constructor({ config, version, onError, url }: TracingOptions & { url: string }) {
    const named = { 'service.name': SERVICE, 'service.version': version };
    const given = config.OTEL_SERVICE_NAME === undefined ? {} : { 'service.name': config.OTEL_SERVICE_NAME };
    this.#provider = new TracerProvider({
      resource: defaultResource()
        .merge(resourceFromAttributes(named))
        .merge(detectResources({ detectors: [envDetector] }))
        .merge(resourceFromAttributes(given)),
      sampler: samplerOf(config),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: telling(new OTLPTraceExporter({ url }), onError) }),
      ],
    });
    const tracer = this.#provider.getTracer(SERVICE, version);
    this.tracer = { begin: (request) => new InvocationTrace(tracer, request) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.race([
      this.#provider.shutdown().catch(() => {}),
      sleep(SHUTDOWN_MS, undefined, { ref: false }),
    ]);
  }
}

class InvocationTrace implements Trace {
  readonly traceparent: string;
  readonly #tracer: OtelTracer;
  readonly #span: Span;
  readonly #context: Context;
  readonly #beganAt = now();

  constructor(tracer: OtelTracer, { id, event, traceparent }: InvokeRequest) {
    this.#tracer = tracer;
    const parent = contextOf(traceparent);
    this.#span = tracer.startSpan(
      event.name,
      {
        kind: SpanKind.SERVER,
        startTime: this.#beganAt,
        attributes: {
          'faas.invoked_name': event.name,
          'faas.version': String(event.current.version),
          'faas.invocation_id': id,
          'cronium.runtime': event.current.runtime,
        },
      },
      parent,
    );
    this.#context = traces.setSpan(parent, this.#span);
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    this.traceparent = formatTraceparent({ traceId, spanId, flags: traceFlags });
  }

  /** The span ends with the answer; that the sandbox is destroyed after it is a child which outlives it. */
  end({ phases, start, isolation, status, statusCode, error }: Invocation): void {
    const span = this.#span;
    if (!span.isRecording()) return;
    let at = this.#beganAt;
    for (const phase of PHASES) {
      const durationMs = phases[phase];
      if (durationMs === undefined) continue;
      this.#child(phase, at, at + durationMs);
      at += durationMs;
    }
    const endedAt = now();
    if (phases.destroy !== undefined) this.#child('destroy', endedAt - phases.destroy, endedAt);
    span.setAttributes({
      'cronium.status': status,
      ...(start !== null && { 'faas.coldstart': start === 'cold' }),
      ...(isolation !== null && { 'cronium.isolation': isolation }),
      ...(statusCode !== null && { 'http.response.status_code': statusCode }),
      // The message may be the function's own words: for its owner, not for who reads traces.
      ...(error !== null && { 'error.type': error.code }),
    });
    if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: error.code });
    span.end(start === null ? endedAt : at);
  }

  #child(phase: string, from: number, to: number): void {
    this.#tracer.startSpan(phase, { startTime: from }, this.#context).end(to);
  }
}

/** Unix time in ms, monotonic and with fractions, as the phases are measured. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function contextOf(traceparent: string | undefined): Context {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, flags } = parent;
  return traces.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: flags, isRemote: true });
}

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: ratio }: TracingConfig): Sampler {
  const roots = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(ratio),
  };
  const root = roots[name.replace(/^parentbased_/, '') as keyof typeof roots]();
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/** The exporter, with its failures told: the SDK keeps them to itself. */
function telling(exporter: SpanExporter, onError: (error: unknown) => void): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error !== undefined) onError(result.error);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
