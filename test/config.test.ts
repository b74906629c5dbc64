import { describe, expect, test } from 'vitest';
import { decodeKey } from '../src/config/decode-key.ts';
import { ConfigError, parseConfig } from '../src/config.ts';
import { enginePlaceOf } from '../src/engine-place.ts';

function faultsOf(env: Record<string, string>): string[] {
  try {
    parseConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n').slice(1);
  }
}

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const PARANOID = {
  SECURITY_LEVEL: 'paranoid',
  PYTHON_BASE_IMAGE: DIGEST,
  NODE_BASE_IMAGE: `node:24@${DIGEST}`,
};
const KEY_HEX = 'ab'.repeat(32);
const KEY_BASE64 = Buffer.from(KEY_HEX, 'hex').toString('base64');

describe('parseConfig', () => {
  test('an empty environment is a whole configuration', () => {
    expect(parseConfig({})).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 8787,
      DATA_DIR: './data',
      ISOLATION_MODE: 'auto',
      RESOURCE_LIMITS_ENABLED: true,
      MAX_CONCURRENT_EXECUTIONS: 10,
      DEFAULT_MEMORY_MB: 512,
      DEFAULT_CPUS: 0.5,
      TMP_BYTES: 100 * 2 ** 20,
      RUN_BYTES: 10 * 2 ** 20,
    });
  });

  test('an empty variable counts as not set, and what is not ours is ignored', () => {
    const env = { PORT: '', JWT_SECRET: '', ISOLATION_MODE: '', HOME: '/root', PATH: undefined };
    expect(parseConfig(env)).toEqual(parseConfig({}));
  });

  test.each([
    ['PORT', '0', 0],
    ['PORT', '65535', 65_535],
    ['DEFAULT_CPUS', '0.05', 0.05],
    ['RESOURCE_LIMITS_ENABLED', 'false', false],
    ['RESOURCE_LIMITS_ENABLED', '0', false],
    ['RESOURCE_LIMITS_ENABLED', 'on', true],
    ['ISOLATION_MODE', 'bubblewrap', 'bubblewrap'],
    ['ISOLATION_MODE', 'podman', 'podman'],
    ['RUNTIME', 'gvisor', 'gvisor'],
    ['RUNTIME', 'io.containerd.kata.v2', 'io.containerd.kata.v2'],
    ['PUBLIC_URL', 'https://functions.example/base', 'https://functions.example/base'],
    ['MAX_QUEUED_EXECUTIONS', '0', 0],
    ['MAX_ASYNC_EXECUTIONS', '10', 10],
    ['SHUTDOWN_GRACE_MS', '0', 0],
    ['JWT_SECRET', 'é'.repeat(16), 'é'.repeat(16)],
    ['SECRETS_KEY', KEY_HEX, KEY_HEX],
    ['SECRETS_KEY', KEY_BASE64, KEY_BASE64],
  ])('%s=%s is read as %j', (name, text, value) => {
    expect(parseConfig({ [name]: text })).toHaveProperty(name, value);
  });

  test.each([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['PORT', 'http'],
    ['DEFAULT_MEMORY_MB', '31'],
    ['DEFAULT_CPUS', '0.01'],
    ['DEFAULT_CPUS', 'NaN'],
    ['RESOURCE_LIMITS_ENABLED', 'maybe'],
    ['ISOLATION_MODE', 'none'],
    ['RUNTIME', '/usr/bin/crun'],
    ['RUNTIME', 'run c'],
    ['RUNTIME', '-runc'],
    ['LOG_LEVEL', 'loud'],
    ['PUBLIC_URL', 'functions.example'],
    ['PUBLIC_URL', 'ftp://functions.example'],
    ['JWT_JWKS_URL', 'file:///etc/keys'],
    ['JWT_SECRET', 'a'.repeat(31)],
    ['SECRETS_KEY', 'ab'.repeat(31)],
    ['SECRETS_KEY', 'not a key'],
  ])('%s=%s is the one fault, by its name', (name, text) => {
    expect(faultsOf({ [name]: text })).toEqual([expect.stringMatching(new RegExp(`^ {2}${name}: \\S`))]);
  });

  test.each([
    ['PORT', 'http', 'must be a whole number from 0 to 65535'],
    ['PORT', '  ', 'must be a whole number from 0 to 65535'],
    ['MAX_QUEUED_EXECUTIONS', '\t', 'must be a whole number from 0 to 100000'],
    ['OTEL_TRACES_SAMPLER_ARG', ' ', 'must be a number from 0 to 1'],
    ['PORT', '-1.5', 'must be a whole number from 0 to 65535'],
    ['DEFAULT_CPUS', '65', 'must be a number from 0.05 to 64'],
    ['PUBLIC_URL', 'functions.example', 'must be a URL that begins with http:// or https://'],
    ['METRICS_TOKEN', 'short', 'must be at least 16 characters; make one with: openssl rand -hex 24'],
    ['DOCKER_HOST', 'docker.sock', 'must be unix:///path or tcp://host:port'],
    ['DOCKER_HOST', '/var/run/docker.sock', 'must be unix:///path or tcp://host:port'],
    ['DOCKER_HOST', 'tcp://', 'must be unix:///path or tcp://host:port'],
    ['DOCKER_HOST', 'tcp://host:65536', 'must be unix:///path or tcp://host:port'],
    ['DOCKER_HOST', 'tcp://host:2375/under', 'must be unix:///path or tcp://host:port'],
    ['DOCKER_HOST', 'ssh://me@host', 'must be unix:///path or tcp://host:port; ssh:// is not supported'],
    ['CONTAINER_HOST', 'podman', 'must be unix:///path or tcp://host:port'],
    ['TIERS', '{pro: 1}', 'must be JSON, such as {"pro": {"concurrency": 20}}'],
  ])('%s=%s is told what may be written', (name, text, message) => {
    expect(faultsOf({ [name]: text })).toEqual([`  ${name}: ${message}`]);
  });

  test.each([
    [{ JWT_SECRET: 'a'.repeat(32), JWT_JWKS_URL: 'https://a.example' }, 'JWT_JWKS_URL', 'not both'],
    [{ ISOLATION_MODE: 'bubblewrap', RUNTIME: 'gvisor' }, 'RUNTIME', 'no OCI runtimes'],
    [
      { SECURITY_LEVEL: 'enhanced', RESOURCE_LIMITS_ENABLED: 'false' },
      'RESOURCE_LIMITS_ENABLED',
      'must be true',
    ],
    [{ ...PARANOID, AUDIT_LOG: 'false' }, 'AUDIT_LOG', 'must be true at SECURITY_LEVEL=paranoid'],
    [
      { ...PARANOID, AUDIT_FAIL_CLOSED: 'false' },
      'AUDIT_FAIL_CLOSED',
      'must be true at SECURITY_LEVEL=paranoid',
    ],
    [{ ...PARANOID, NODE_BASE_IMAGE: 'node:24' }, 'NODE_BASE_IMAGE', 'by digest, as in node:24@sha256:…'],
    [{ ...PARANOID, NODE_BASE_IMAGE: `node@${DIGEST.slice(0, -1)}` }, 'NODE_BASE_IMAGE', 'by digest'],
    [{ DOCKER_TLS_VERIFY: '1' }, 'DOCKER_TLS_VERIFY', 'set DOCKER_HOST=tcp://host:port too'],
    [
      { DOCKER_HOST: 'unix:///s', DOCKER_CERT_PATH: '/certs' },
      'DOCKER_CERT_PATH',
      'for an engine at an address',
    ],
    [{ MAX_ASYNC_EXECUTIONS: '11' }, 'MAX_ASYNC_EXECUTIONS', 'MAX_CONCURRENT_EXECUTIONS (10)'],
    [{ POOL_MIN: '4', POOL_TARGET: '3' }, 'POOL_MIN', 'POOL_TARGET (3)'],
    [{ POOL_TARGET: '30', POOL_MAX: '20' }, 'POOL_TARGET', 'POOL_MAX (20)'],
  ])('%j contradict each other', (env, name, message) => {
    expect(faultsOf(env)).toEqual([expect.stringContaining(`  ${name}: `)]);
    expect(faultsOf(env)[0]).toContain(message);
  });

  test('where an engine is does not matter when it is not asked for', () => {
    const env = { DOCKER_HOST: 'ssh://me@host', DOCKER_TLS_VERIFY: '1', PODMAN_HOST: 'nowhere' };
    expect(faultsOf({ ISOLATION_MODE: 'bubblewrap', ...env })).toEqual([]);
    expect(faultsOf({ ISOLATION_MODE: 'podman', ...env })).toEqual([expect.stringContaining('PODMAN_HOST')]);
  });

  test('paranoid refuses calls that cannot be written down, unless told otherwise', () => {
    expect(parseConfig(PARANOID)).toMatchObject({ AUDIT_LOG: true, AUDIT_FAIL_CLOSED: true });
    expect(parseConfig({ SECURITY_LEVEL: 'enhanced' })).toMatchObject({ AUDIT_FAIL_CLOSED: false });
  });

  test('every fault is named at once, those between variables too', () => {
    const faults = faultsOf({ PORT: 'x', LOG_LEVEL: 'loud', JWT_SECRET: 'short', POOL_MIN: '9' });
    expect(faults.map((line) => line.trim().split(':')[0])).toEqual([
      'PORT',
      'LOG_LEVEL',
      'JWT_SECRET',
      'POOL_MIN',
    ]);
  });

  test('no message has a secret in it', () => {
    const faults = faultsOf({ JWT_SECRET: 'hunter2', SECRETS_KEY: 'hunter3' });
    expect(faults).toHaveLength(2);
    expect(faults.join()).not.toContain('hunter');
  });
});

describe('decodeKey', () => {
  test('takes 32 bytes as hex, base64 and base64url', () => {
    const bytes = Buffer.from(KEY_HEX, 'hex');
    for (const text of [KEY_HEX, KEY_HEX.toUpperCase(), KEY_BASE64, bytes.toString('base64url')]) {
      expect(decodeKey(text)).toEqual(bytes);
    }
  });

  test.each(['', KEY_HEX.slice(2), `${KEY_BASE64}=`, `${KEY_BASE64.slice(0, 20)} ${KEY_BASE64.slice(21)}`])(
    'refuses %j',
    (text) => {
      expect(decodeKey(text)).toBeUndefined();
    },
  );
});

test.each([
  ['unix:///var/run/docker.sock', { socketPath: '/var/run/docker.sock' }],
  ['unix:/run/a b', { socketPath: '/run/a b' }],
  ['tcp://engine.example', { host: 'engine.example', port: undefined }],
  ['tcp://10.0.0.1:2376/', { host: '10.0.0.1', port: 2376 }],
  ['http://engine:80', { host: 'engine', port: 80 }],
  ['tcp://[::1]:2375', { host: '[::1]', port: 2375 }],
])('%s is where an engine may be', (url, place) => {
  expect(enginePlaceOf(url)).toEqual(place);
});
