import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { body, Harness, jsonOf } from './harness.ts';

let gateway: Harness;
beforeEach(async () => {
  gateway = await Harness.open();
});
afterEach(() => gateway[Symbol.asyncDispose]());

interface Problem {
  code: string;
  errors: { path: string; message: string }[];
}
type View = Record<string, unknown>;

const SECRET = 'first secret of the sender';
const github = { type: 'webhook', scheme: 'github', secret: SECRET };
const view = { type: 'webhook', scheme: 'github', secretCount: 1 };
const whsec = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;

const kept = async (name = 'hello') => (await gateway.store.events.find(name))?.auth;
const change = (method: 'PUT' | 'PATCH', changes: object) => {
  const { name: _name, ...whole } = body();
  return gateway.send(method, '/v1/events/hello', method === 'PUT' ? { ...whole, ...changes } : changes);
};

describe('the settings of a webhook', () => {
  test('are shown with their defaults, and the secrets never', async () => {
    const created = await gateway.send('POST', '/v1/events', { ...body(), auth: github });
    expect(created.status).toBe(201);
    const shown = { ...view, toleranceSeconds: 300, dedupSeconds: 86_400, respond: 'async' };
    expect((await jsonOf<View>(created)).auth).toEqual(shown);
    for (const path of ['/v1/events', '/v1/events/hello', '/v1/events/hello/versions']) {
      const text = await (await gateway.send('GET', path)).text();
      expect(text, path).not.toContain(SECRET);
    }
    expect(await kept()).toMatchObject({ scheme: 'github', secrets: [SECRET] });
  });

  test('of a scheme of one’s own have its headers in lower case, and what is signed', async () => {
    const own = { type: 'webhook', scheme: 'hmac', secret: SECRET, header: 'X-Sig' };
    await gateway.deploy({ auth: own });
    expect(await kept()).toMatchObject({
      header: 'x-sig',
      algorithm: 'sha256',
      encoding: 'hex',
      prefix: '',
      signedContent: '{body}',
      idHeader: null,
      timestampHeader: null,
    });
    await gateway.deploy({ name: 'timed', auth: { ...own, timestampHeader: 'X-Time' } });
    expect(await kept('timed')).toMatchObject({
      timestampHeader: 'x-time',
      signedContent: '{timestamp}.{body}',
    });
  });

  test('make no new version', async () => {
    await gateway.deploy({ auth: github });
    const response = await change('PATCH', { auth: { toleranceSeconds: 10 } });
    expect(await jsonOf<View>(response)).toMatchObject({ version: 1, auth: { toleranceSeconds: 10 } });
  });
});

describe('the secrets of a webhook', () => {
  beforeEach(() => gateway.deploy({ auth: github }));

  test.each<['PUT' | 'PATCH', string, object]>([
    ['PUT', 'without auth', {}],
    ['PUT', 'with an auth without secrets', { auth: { type: 'webhook', scheme: 'github' } }],
    ['PATCH', 'of something else', { description: 'x' }],
    ['PATCH', 'of another setting', { auth: { dedupSeconds: 0 } }],
  ])('stay after a %s %s', async (method, _what, changes) => {
    expect((await change(method, changes)).status).toBe(200);
    expect(await kept()).toMatchObject({ type: 'webhook', scheme: 'github', secrets: [SECRET] });
  });

  test.each(['PUT', 'PATCH'] as const)('are replaced by those that a %s gives', async (method) => {
    const secrets = ['second secret', 'third secret'];
    const auth = { type: 'webhook', scheme: 'github', secrets };
    const response = await change(method, { auth });
    expect((await jsonOf<View>(response)).auth).toMatchObject({ secretCount: 2 });
    expect(await kept()).toMatchObject({ secrets });
  });

  test.each(['PUT', 'PATCH'] as const)('of one scheme are not taken for another by %s', async (method) => {
    const response = await change(method, { auth: { type: 'webhook', scheme: 'stripe' } });
    expect(response.status).toBe(422);
    const [fault] = (await jsonOf<Problem>(response)).errors;
    expect(fault).toMatchObject({ path: 'auth.secret', message: expect.stringContaining('stripe') });
    expect(await kept()).toMatchObject({ scheme: 'github' });
  });

  test.each<[string, object]>([
    ['public', { auth: 'public' }],
    ['jwt', { auth: null }],
  ])('are gone when it becomes %s', async (auth, changes) => {
    expect((await change('PATCH', changes)).status).toBe(200);
    expect(await kept()).toBe(auth);
    const back = await change('PATCH', { auth: { type: 'webhook', scheme: 'github' } });
    expect(back.status).toBe(422);
  });

  test('a patch takes settings back to their defaults, and leaves none of another scheme', async () => {
    const own = {
      scheme: 'hmac',
      secret: SECRET,
      header: 'X-Sig',
      timestampHeader: 'X-Time',
      toleranceSeconds: 5,
    };
    expect((await change('PATCH', { auth: own })).status).toBe(200);
    expect((await change('PATCH', { auth: { timestampHeader: null, toleranceSeconds: null } })).status).toBe(
      200,
    );
    expect(await kept()).toMatchObject({
      toleranceSeconds: 300,
      timestampHeader: null,
      signedContent: '{body}',
    });
    expect((await change('PATCH', { auth: { scheme: 'slack', secret: SECRET } })).status).toBe(200);
    expect(await kept()).not.toHaveProperty('header');
  });
});

describe('a webhook is refused, naming the field and the remedy,', () => {
  const own = { type: 'webhook', scheme: 'hmac', secret: SECRET, header: 'X-Sig' };
  const standard = { type: 'webhook', scheme: 'standard' };
  test.each<[string, unknown, string, RegExp]>([
    ['without a secret', { type: 'webhook', scheme: 'github' }, 'auth.secret', /is needed/],
    ['with a short secret', { ...github, secret: 'short' }, 'auth.secret', /at least 8/],
    ['with secret and secrets', { ...github, secrets: [SECRET] }, 'auth.secrets', /put all of them/],
    ['with no secret in a list', { ...standard, secrets: [] }, 'auth.secrets', /at least one/],
    ['with too many', { ...standard, secrets: Array(9).fill(whsec(24)) }, 'auth.secrets', /at most 8/],
    ['as a word', 'webhook', 'auth', /"jwt", "public" or an object/],
    ['without a scheme', { type: 'webhook' }, 'auth.scheme', /one of "standard", "github"/],
    ['of an unknown scheme', { ...github, scheme: 'paypal' }, 'auth.scheme', /one of "standard", "github"/],
    ['with an unknown member', { ...github, header: 'X-Sig' }, 'auth.header', /not a known member/],
    ['without type', { scheme: 'github', secret: SECRET }, 'auth.type', /webhook/],
    ['with 23 bytes', { ...standard, secret: whsec(23) }, 'auth.secret', /whsec_.*openssl/],
    ['with 65 bytes', { ...standard, secret: whsec(65) }, 'auth.secret', /24 to 64 bytes/],
    ['with no whsec_', { ...standard, secrets: [whsec(24), SECRET] }, 'auth.secrets.1', /whsec_/],
    ['with base64 that is none', { ...standard, secret: `${whsec(24)}=` }, 'auth.secret', /base64/],
    ['with a tolerance of none', { ...github, toleranceSeconds: 0 }, 'auth.toleranceSeconds', /1/],
    ['with a header that is none', { ...own, header: 'X Sig' }, 'auth.header', /name of a header/],
    ['with no header', { ...own, header: undefined }, 'auth.header', /expected string/],
    ['signing no body', { ...own, signedContent: 'x' }, 'auth.signedContent', /\{body\} once/],
    ['signing what is not there', { ...own, signedContent: '{url}{body}' }, 'auth.signedContent', /\{url\}/],
    ['with an id of nowhere', { ...own, signedContent: '{id}{body}' }, 'auth.signedContent', /idHeader/],
    [
      'with a time unsigned',
      { ...own, timestampHeader: 'X-T', signedContent: '{body}' },
      'auth.signedContent',
      /proves nothing/,
    ],
  ])('%s', async (_what, auth, path, message) => {
    const response = await gateway.send('POST', '/v1/events', { ...body(), auth });
    expect(response.status).toBe(422);
    const { code, errors } = await jsonOf<Problem>(response);
    expect(code).toBe('validation_failed');
    const fault = errors.find((error) => error.path === path);
    expect(fault?.message, JSON.stringify(errors)).toMatch(message);
  });

  test('and taken with 24 to 64 bytes', async () => {
    await gateway.deploy({ auth: { ...standard, secrets: [whsec(24), whsec(64), whsec(25)] } });
  });
});
