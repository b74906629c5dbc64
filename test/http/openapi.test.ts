import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Harness, jsonOf } from './harness.ts';

interface Operation {
  operationId?: string;
  summary?: string;
  responses: Record<string, unknown>;
}
type Schema = { required: string[]; properties: object; additionalProperties: boolean; example?: object };
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; securitySchemes: { bearer: { scheme: string } } };
}

let gateway: Harness;
let document: Document;
beforeEach(async () => {
  gateway = await Harness.open({
    metrics: { render: async () => ({ contentType: 'text/plain', body: '' }), token: undefined },
  });
  document = await jsonOf(await gateway.app.request('/openapi.json'));
});
afterEach(() => gateway[Symbol.asyncDispose]());

describe('the OpenAPI document', () => {
  test('is one', async () => {
    const { valid, errors } = await new Validator().validate(
      structuredClone(document) as unknown as Record<string, unknown>,
    );
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(document.openapi).toBe('3.1.0');
  });

  test('has every route that is served, and no other', () => {
    const served = gateway.app.routes
      // What the page of the documentation loads is no interface.
      .filter(({ method, path }) => method !== 'ALL' && path !== '/*' && !path.startsWith('/docs/'))
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const functionUrls = ['/e/{event}', '/e/{event}/{path}'];
    const own = described.filter((line) => !functionUrls.includes(line.split(' ')[1]!));
    expect(new Set(own)).toEqual(new Set(served));
    expect(described).toEqual(expect.arrayContaining(functionUrls.map((path) => `POST ${path}`)));
  });

  test('names each operation once, and says what it does', () => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map((operation) => operation.operationId);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { summary, responses } of operations) {
      expect(summary).toBeTruthy();
      expect(Object.keys(responses).length).toBeGreaterThan(0);
    }
  });

  test('has the bodies, their examples and the problems', () => {
    const { NewEvent, EventPatch, Problem } = document.components.schemas;
    expect(NewEvent?.required.sort()).toEqual(['code', 'name', 'runtime']);
    expect(NewEvent?.additionalProperties).toBe(false);
    expect(EventPatch?.required).toBeUndefined();
    expect(Problem?.properties).toHaveProperty('code');
    expect(document.components.securitySchemes.bearer.scheme).toBe('bearer');
  });

  test('has examples that the gateway takes', async () => {
    const { NewEvent, EventReplacement, EventPatch, Rollback } = document.components.schemas;
    const path = '/v1/events/hello';
    expect((await gateway.send('POST', '/v1/events', NewEvent?.example)).status).toBe(201);
    expect((await gateway.send('PUT', path, EventReplacement?.example)).status).toBe(200);
    expect((await gateway.send('PATCH', path, EventPatch?.example)).status).toBe(200);
    expect((await gateway.send('POST', `${path}/rollback`, Rollback?.example)).status).toBe(200);
  });
});
