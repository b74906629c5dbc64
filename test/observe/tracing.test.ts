import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError, parseConfig } from '../../src/config.ts';
import { formatTraceparent, parseTraceparent } from '../../src/core/traceparent.ts';
import { hangs } from '../core/fakes.ts';
import { Watched } from './watched.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const SAMPLED = `00-${TRACE}-${PARENT}-01`;

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  status: { code?: number };
}

/** OTLP over HTTP, as any collector takes it. */
class Collector implements AsyncDisposable {
  readonly #server: Server;
  status = 200;
  readonly received: { path: string; spans: Span[]; resource: Attribute[] }[] = [];

  constructor() {
    this.#server = createServer(async (request, response) => {
      const { resourceSpans } = JSON.parse(await text(request));
      for (const { resource, scopeSpans } of resourceSpans) {
        const spans = scopeSpans.flatMap(({ spans }: { spans: Span[] }) => spans);
        this.received.push({ path: request.url!, spans, resource: resource.attributes });
      }
      response.statusCode = this.status;
      response.setHeader('content-type', 'application/json').end('{}');
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get spans(): Span[] {
    return this.received.flatMap(({ spans }) => spans);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let collector: Collector;
let endpoint: string;
beforeEach(async () => {
  collector = new Collector();
  endpoint = await collector.listen();
});
afterEach(() => collector[Symbol.asyncDispose]());

/** Calls once, closes the gateway, so that every span has been sent, and returns what the function was given. */
async function callOnce(
  env: Record<string, string>,
  traceparent?: string,
  prepare: (gateway: Watched) => void = () => {},
): Promise<string | undefined> {
  await using gateway = await Watched.open(env);
  await gateway.harness.deploy({ auth: 'public', timeoutMs: 50 });
  prepare(gateway);
  await gateway.harness.app.request(
    '/e/hello',
    traceparent === undefined ? {} : { headers: { traceparent } },
  );
  return gateway.calls[0]!.env._TRACEPARENT;
}

const attribute = (attributes: Attribute[], key: string) =>
  Object.values(attributes.find((each) => each.key === key)?.value ?? {})[0];

describe('traces', () => {
  test('continue the caller’s, with a span for the invocation and a child for each phase', async () => {
    const given = await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, SAMPLED);
    const invocation = collector.spans.find(({ name }) => name === 'hello')!;
    expect(invocation).toMatchObject({ traceId: TRACE, parentSpanId: PARENT });
    expect(given).toBe(`00-${TRACE}-${invocation.spanId}-01`);

    const phases = collector.spans.filter((span) => span !== invocation);
    expect(phases.map(({ name }) => name)).toEqual(['admit', 'acquire', 'inject', 'exec', 'destroy']);
    for (const phase of phases)
      expect(phase).toMatchObject({ traceId: TRACE, parentSpanId: invocation.spanId });
    const [admit, acquire, , exec, destroy] = phases;
    expect(admit!.startTimeUnixNano).toBe(invocation.startTimeUnixNano);
    expect(acquire!.startTimeUnixNano).toBe(admit!.endTimeUnixNano);
    expect(exec!.endTimeUnixNano).toBe(invocation.endTimeUnixNano);
    expect(BigInt(destroy!.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(exec!.endTimeUnixNano));
  });

  test('say which function it was, in which version, and whether it was cold; and nothing that was sent', async () => {
    await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME: 'mine' });
    const [{ path, resource }] = collector.received as [Collector['received'][number]];
    const { attributes } = collector.spans.find(({ name }) => name === 'hello')!;
    expect(path).toBe('/v1/traces');
    expect(attribute(resource, 'service.name')).toBe('mine');
    expect(attribute(attributes, 'faas.version')).toBe('1');
    expect(attribute(attributes, 'faas.coldstart')).toBe(true);
    expect(JSON.stringify(collector.received)).not.toMatch(/def handler|alice/);
  });

  test('begin anew where the caller sends none that is valid', async () => {
    const given = await callOnce(
      { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
      `00-${'0'.repeat(32)}-${PARENT}-01`,
    );
    const invocation = collector.spans.find(({ name }) => name === 'hello')!;
    expect(invocation.parentSpanId ?? '').toBe('');
    expect(given).toBe(`00-${invocation.traceId}-${invocation.spanId}-01`);
  });

  test('tell a call that failed, by its code', async () => {
    await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, SAMPLED, (gateway) => {
      gateway.script = hangs;
    });
    const { status, attributes } = collector.spans.find(({ name }) => name === 'hello')!;
    expect(status.code).toBe(2);
    expect(attribute(attributes, 'error.type')).toBe('function_timeout');
  });

  test('are not sent where the caller or the sampler decides so, which the function hears', async () => {
    const notSampled = `00-${TRACE}-${PARENT}-00`;
    expect(await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, notSampled)).toMatch(
      new RegExp(`^00-${TRACE}-(?!${PARENT})[0-9a-f]{16}-00$`),
    );
    const off = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER: 'always_off' };
    expect(await callOnce(off, SAMPLED)).toMatch(/-00$/);
    const none = {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0',
    };
    expect(await callOnce(none)).toMatch(/-00$/);
    expect(collector.spans).toEqual([]);
  });

  test('pass through untouched where no collector is configured, or the SDK is switched off', async () => {
    expect(await callOnce({}, SAMPLED)).toBe(SAMPLED);
    expect(await callOnce({})).toBeUndefined();
    const off = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: 'true' };
    expect(await callOnce(off, SAMPLED)).toBe(SAMPLED);
    expect(collector.spans).toEqual([]);
  });

  test('hold up neither calls nor the end for long when the collector is away', async () => {
    let lines: Watched['lines'] = [];
    const began = performance.now();
    await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, SAMPLED, (gateway) => {
      lines = gateway.lines;
    });
    expect(performance.now() - began).toBeLessThan(6_000);
    expect(lines.find(({ route }) => route === '/e/:event')).toMatchObject({ status: 200 });
  });

  test('that a collector does not take are told in the log', async () => {
    collector.status = 400;
    let lines: Watched['lines'] = [];
    await callOnce({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, SAMPLED, (gateway) => {
      lines = gateway.lines;
    });
    expect(lines).toContainEqual(expect.objectContaining({ level: 40, msg: 'traces could not be sent' }));
  });

  test('are not promised over a protocol that is not spoken', () => {
    expect(() => parseConfig({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toThrow(ConfigError);
    expect(() => parseConfig({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toThrow(/OTEL_EXPORTER_OTLP_PROTOCOL/);
  });
});

describe('a traceparent', () => {
  test.each([SAMPLED, `cc-${TRACE}-${PARENT}-01-what-a-later-version-adds`])(
    'that is valid is read: %s',
    (header) => {
      expect(formatTraceparent(parseTraceparent(header)!)).toBe(SAMPLED);
    },
  );

  test.each([
    '',
    `ff-${TRACE}-${PARENT}-01`,
    `${SAMPLED}-more`,
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    SAMPLED.toUpperCase(),
    `${SAMPLED}\n`,
    `00-${TRACE}-${PARENT}`,
  ])('that is not valid is none: %j', (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });
});
