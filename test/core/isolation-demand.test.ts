import { expect, test } from 'vitest';
import { succeedsWith } from './fakes.ts';
import { event, TestGateway } from './gateway.ts';

test('an event that demands more than there is runs nowhere, is told why, and has a record of it', async () => {
  const gateway = new TestGateway();
  const refused = gateway.invoke(succeedsWith(1), { event: event({ minIsolation: 'enhanced' }) });
  await expect(refused).rejects.toMatchObject({
    code: 'isolation_unavailable',
    status: 503,
    retryAfterSeconds: 60,
    message: expect.stringMatching(
      /demands enhanced, and this gateway isolates by fake at SECURITY_LEVEL=basic\. It needs SECURITY_LEVEL=enhanced/,
    ),
  });
  expect(gateway.backend.sandboxes).toEqual([]);
  const record = await gateway.record();
  expect(record).toMatchObject({
    status: 'failed',
    error: { code: 'isolation_unavailable' },
    isolation: null,
  });
  expect(record).not.toHaveProperty('securityLevel');
});

test('an event whose demand is met runs, and its answer and record say at which level', async () => {
  const gateway = new TestGateway();
  const answer = await gateway.invoke(succeedsWith(1), { event: event({ minIsolation: 'basic' }) });
  expect(answer.securityLevel).toBe('basic');
  expect(await gateway.record()).toMatchObject({ status: 'succeeded', securityLevel: 'basic' });
});
