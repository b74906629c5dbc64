import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { answer, Harness, jsonOf, listen } from '../harness.ts';
import { BODY, SENDERS, type Sender, type Sent } from './senders.ts';

const sender = (name: string) => SENDERS.find((one) => one.name === name)!;
const github = sender('@octokit/webhooks-methods');
const slack = sender('Slack, as documented');

let gateway: Harness;
let server: { url: string } & AsyncDisposable;
beforeEach(async () => {
  gateway = await Harness.open({ now: () => new Date() });
  server = await listen(gateway.app);
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
});

const deploy = (from: Sender, changes: object = {}, event: object = {}) =>
  gateway.deploy({ name: 'hook', auth: { ...from.auth, secret: from.secret, ...changes }, ...event });
const post = ({ headers, body }: Sent, path = '/e/hook') =>
  fetch(`${server.url}${path}`, { method: 'POST', headers, body });
const deliver = async (from: Sender, body = BODY) => post(await from.send(body, from.secret, new Date()));

interface Payload {
  rawPath: string;
  body: string;
  isBase64Encoded: boolean;
  headers: Record<string, string>;
  requestContext: { authorizer: unknown; accountId: string };
}

describe.each(SENDERS.map((one) => [one.name, one] as const))(
  'a webhook of %s, over the wire,',
  (_name, from) => {
    test('is stored, answered with the id, and known when it comes again', async () => {
      await deploy(from);
      const first = await deliver(from);
      expect(first.status).toBe(from === slack ? 200 : 202);
      const id = first.headers.get('x-cronium-invocation-id')!;
      expect(first.headers.get('location')).toBe(`/v1/invocations/${id}`);
      expect(await first.text()).toBe(
        from === slack ? '' : JSON.stringify({ id, status: 'queued', event: 'hook', version: 1 }),
      );
      expect(first.headers.get('x-cronium-duplicate')).toBeNull();

      const second = await deliver(from);
      expect(second.status).toBe(first.status);
      expect(second.headers.get('x-cronium-invocation-id')).toBe(id);
      expect(second.headers.get('x-cronium-duplicate')).toBe('true');

      const [request] = gateway.enqueued;
      expect(request).toMatchObject({ id, trigger: 'webhook', caller: { userId: null } });
      const payload = request?.payload as Payload;
      expect(payload).toMatchObject({ rawPath: '/', body: BODY, isBase64Encoded: false });
      expect(payload.requestContext.authorizer).toEqual({
        webhook: { scheme: from.auth.scheme, id: from.id },
      });
      expect(payload.headers).not.toHaveProperty('authorization');
      expect(gateway.calls).toEqual([]);
    });

    test('is refused when it was tampered with, and nothing is stored', async () => {
      await deploy(from);
      const { headers, body } = await from.send(BODY, from.secret, new Date());
      const refused = await post({ headers, body: `${body} ` });
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toBe('Webhook realm="cronium"');
      const text = await refused.text();
      expect(JSON.parse(text)).toMatchObject({ code: 'invalid_signature', status: 401 });
      expect(text).not.toContain(from.secret);
      const { [from.signatureHeader]: _, ...unsigned } = headers;
      expect((await post({ headers: unsigned, body })).status).toBe(401);
      expect(gateway.enqueued).toEqual([]);
    });
  },
);

describe('a webhook', () => {
  test('is sent with POST alone, below the URL too, to a version or an alias too', async () => {
    await deploy(github, { dedupSeconds: 0 });
    for (const method of ['GET', 'PUT', 'DELETE', 'HEAD']) {
      const refused = await fetch(`${server.url}/e/hook/x`, { method });
      expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
    }
    const sent = await github.send('{}', github.secret, new Date());
    for (const path of ['/e/hook/sub/path?a=1', '/e/hook@1'])
      expect((await post(sent, path)).status).toBe(202);
    expect((gateway.enqueued[0]!.payload as Payload).rawPath).toBe('/sub/path');
    expect((await post(sent, '/e/hook@2')).status).toBe(404);
    expect(gateway.enqueued).toHaveLength(2);
  });

  test('is not called with a token, were it the owner’s', async () => {
    await deploy(github);
    const headers = { ...(await gateway.bearer('alice')), 'content-type': 'application/json' };
    expect((await post({ headers, body: '{}' })).status).toBe(401);
    expect(gateway.enqueued).toEqual([]);
  });

  test('is called over Lambda’s interface by who may call it, and by nobody else', async () => {
    await deploy(github);
    const invoke = (headers: Record<string, string>) =>
      post({ headers, body: '{}' }, '/2015-03-31/functions/hook/invocations');
    expect((await invoke({})).status).toBe(403);
    expect((await invoke(await gateway.bearer('bob'))).status).toBe(403);
    expect(gateway.calls).toEqual([]);
  });

  test('that is disabled says so to its senders alone', async () => {
    await deploy(github, {}, { enabled: false });
    expect((await post({ headers: {}, body: '{}' })).status).toBe(401);
    const refused = await deliver(github);
    expect([refused.status, await jsonOf(refused)]).toMatchObject([403, { code: 'event_disabled' }]);
  });

  test('of an event that demands more isolation than there is is refused, so that its sender tries again', async () => {
    await deploy(github, {}, { minIsolation: 'gvisor' });
    const refused = await deliver(github);
    expect([refused.status, await jsonOf(refused)]).toMatchObject([503, { code: 'isolation_unavailable' }]);
    expect(gateway.enqueued).toEqual([]);
  });

  test('is not read beyond the limit, and one that is not signed not at all', async () => {
    await deploy(github);
    const body = 'x'.repeat(1_001);
    const { headers } = await github.send(body, github.secret, new Date());
    expect((await post({ headers, body })).status).toBe(413);
    expect((await post({ headers: {}, body })).status).toBe(401);
  });

  test('that is no text arrives byte by byte, as base64', async () => {
    await deploy(github);
    const bytes = Buffer.from([0xff, 0x00, 0xfe]);
    const signature = createHmac('sha256', github.secret).update(bytes).digest('hex');
    const headers = { 'content-type': 'application/json', 'x-hub-signature-256': `sha256=${signature}` };
    const taken = await fetch(`${server.url}/e/hook`, { method: 'POST', headers, body: bytes });
    expect(taken.status).toBe(202);
    const payload = gateway.enqueued[0]?.payload as Payload;
    expect([payload.body, payload.isBase64Encoded]).toEqual([bytes.toString('base64'), true]);
  });

  test('whose id is too long for a key, or none, is known all the same, or not', async () => {
    await deploy(github);
    const { headers, body } = await github.send('{}', github.secret, new Date());
    const long = { ...headers, 'x-github-delivery': 'x'.repeat(5_000) };
    const ids = [await post({ headers: long, body }), await post({ headers: long, body })];
    expect(ids.map(({ status }) => status)).toEqual([202, 202]);
    expect(ids[1]?.headers.get('x-cronium-duplicate')).toBe('true');
    const { 'x-github-delivery': _, ...nameless } = headers;
    await post({ headers: nameless, body });
    expect((await post({ headers: nameless, body })).headers.get('x-cronium-duplicate')).toBeNull();
  });

  test('is another one for another event', async () => {
    await deploy(github);
    await deploy(github, {}, { name: 'other' });
    const sent = await github.send('{}', github.secret, new Date());
    await post(sent);
    expect((await post(sent, '/e/other')).headers.get('x-cronium-duplicate')).toBeNull();
  });

  test('is taken once, of 50 at once', async () => {
    await deploy(github);
    const sent = await github.send('{}', github.secret, new Date());
    const taken = await Promise.all(Array.from({ length: 50 }, () => post(sent)));
    const ids = new Set(taken.map(({ headers }) => headers.get('x-cronium-invocation-id')));
    expect(ids.size).toBe(1);
    expect(taken.filter(({ headers }) => headers.has('x-cronium-duplicate'))).toHaveLength(49);
  });

  test('that cannot be stored is not taken: the sender is told to come again', async () => {
    await using away = await Harness.open({
      now: () => new Date(),
      enqueuer: {
        enqueue: async () => {
          throw new GatewayError('store_unavailable', 'away', { retryAfterSeconds: 1 });
        },
      },
    });
    await away.deploy({ name: 'hook', auth: { ...github.auth, secret: github.secret } });
    const { headers, body } = await github.send('{}', github.secret, new Date());
    const refused = await away.app.request('/e/hook', { method: 'POST', headers, body });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

describe('Slack', () => {
  test('gets its challenge back when it is signed, and not otherwise; the function hears nothing', async () => {
    await deploy(slack);
    const body = JSON.stringify({ type: 'url_verification', token: 't', challenge: '3eZbrw1aB' });
    const echoed = await deliver(slack, body);
    expect([echoed.status, await echoed.text()]).toEqual([200, '3eZbrw1aB']);
    const { headers } = await slack.send(body, 'another secret of nobody', new Date());
    const refused = await post({ headers, body });
    expect([refused.status, (await refused.text()).includes('3eZbrw1aB')]).toEqual([401, false]);
    expect(gateway.enqueued).toEqual([]);
  });

  test('may send one command twice, and the same request of it once', async () => {
    await deploy(slack);
    const command = (trigger: string) =>
      slack.send(`command=%2Fdeploy&text=&trigger_id=${trigger}`, slack.secret, new Date());
    const first = await command('1.2.a');
    const answers = [await post(first), await post(first), await post(await command('1.2.b'))];
    expect(answers.map(({ headers }) => headers.get('x-cronium-duplicate'))).toEqual([null, 'true', null]);
  });
});

describe('a webhook that is answered as the function does', () => {
  test('gives its answer; and to the same delivery the same answer, without running it again', async () => {
    gateway.answer = () => answer({ statusCode: 201, headers: { 'x-own': '1' }, body: Buffer.from('done') });
    await deploy(github, { respond: 'sync' });
    const first = await deliver(github);
    const second = await deliver(github);
    for (const response of [first, second]) {
      expect([response.status, response.headers.get('x-own'), await response.text()]).toEqual([
        201,
        '1',
        'done',
      ]);
    }
    expect([first, second].map(({ headers }) => headers.get('x-cronium-duplicate'))).toEqual([null, 'true']);
    expect(gateway.calls).toHaveLength(1);
    expect(gateway.enqueued).toEqual([]);
  });

  test('runs again after a failure, until it succeeds', async () => {
    await deploy(github, { respond: 'sync' });
    const statuses: number[] = [];
    const outcomes: (() => ReturnType<Harness['answer']>)[] = [
      () => {
        throw new GatewayError('function_error', 'broken: secret words');
      },
      () => answer({ statusCode: 500 }),
      () => answer(),
    ];
    gateway.answer = () => outcomes.shift()!();
    for (let count = 0; count < 4; count++) {
      const response = await deliver(github);
      statuses.push(response.status);
      expect(await response.text()).not.toContain('secret words');
    }
    expect(statuses).toEqual([502, 500, 200, 200]);
    expect(gateway.calls).toHaveLength(3);
  });

  test('tells the sender to come again while it runs', async () => {
    await deploy(github, { respond: 'sync' });
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    gateway.answer = async () => {
      begun.resolve();
      await promise;
      return answer();
    };
    const first = deliver(github);
    await begun.promise;
    const second = await deliver(github);
    expect([second.status, second.headers.get('retry-after')]).toEqual([409, '1']);
    resolve();
    expect((await first).status).toBe(200);
    expect((await deliver(github)).headers.get('x-cronium-duplicate')).toBe('true');
  });
});
