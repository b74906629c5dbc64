import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { parseTtl } from '../../src/cli/access.ts';
import { cronium, TempDir } from '../e2e/processes.ts';
import { findEngine } from '../engines.ts';

const gvisor = await findEngine('docker+runsc');
const docker = await findEngine('docker');
const podman = await findEngine('podman');
const bubblewrap = await findEngine('bubblewrap');
const SECRET = 'a secret of this test, of 32 bytes and more';
const env = { JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'cronium' };

test('token: the claims that were asked for, and nothing else is printed', async () => {
  const args = ['token', '--sub', 'alice', '--scope', 'events:invoke', '--ttl', '15m', '--tier', 'pro'];
  const { code, stdout, stderr } = await cronium(args, env);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const claims = decodeJwt(stdout.trim());
  expect(claims).toMatchObject({ sub: 'alice', scope: 'events:invoke', tier: 'pro', aud: 'cronium' });
  expect(claims.iss).toBe('https://issuer.example');
  expect(claims.exp! - claims.iat!).toBe(15 * 60);
});

test('token: a --ttl that is none is refused', async () => {
  const ended = await cronium(['token', '--sub', 'alice', '--ttl', 'soon'], env);
  const stderr = 'cronium: --ttl: soon is no duration; write it as 90s, 15m, 1h or 30d.\n';
  expect(ended).toEqual({ code: 1, stdout: '', stderr });
});

test.each([
  ['90', 90],
  ['90s', 90],
  ['15m', 900],
  ['1h', 3_600],
  ['30d', 2_592_000],
])('a duration of %s is %d seconds', (text, seconds) => {
  expect(parseTtl(text)).toBe(seconds);
});

test.each(['', '0', '0h', '-5m', '1w', '1.5h', '1h30m', ' 1h', '1e3'])('%j is no duration', (text) => {
  expect(() => parseTtl(text)).toThrow(`--ttl: ${text} is no duration`);
});

test('token: where another issues tokens, none is signed', async () => {
  const ended = await cronium(['token', '--sub', 'alice'], { JWT_JWKS_URL: 'https://issuer.example/keys' });
  const stderr =
    'cronium: JWT_JWKS_URL is set: tokens come from that issuer, and only it has the key to sign them.\n';
  expect(ended).toEqual({ code: 1, stdout: '', stderr });
});

test.each([
  [['conquer'], "error: unknown command 'conquer'"],
  [['serve', '--dmo'], "error: unknown option '--dmo'"],
  [['token'], "error: required option '--sub <user>' not specified"],
  [['deploy'], "error: missing required argument 'file'"],
  [['invoke', 'a', 'b'], 'error: too many arguments'],
])('%j is refused with what is wrong', async (args, message) => {
  const ended = await cronium(args, env);
  expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(message) });
});

test('no gateway there: it says so, and how to start one', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const ended = await cronium(['logs', 'hello', '--url', `http://127.0.0.1:${port}/`], env);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(
    new RegExp(
      `^cronium: No gateway answers at http://127.0.0.1:${port} \\(.*ECONNREFUSED.*\\)\\. Start one with: npm start\n$`,
    ),
  );
  const noUrl = await cronium(['logs', 'hello', '--url', 'localhost'], env);
  expect(noUrl.stderr).toBe(
    'cronium: localhost is no URL of a gateway; write it like http://127.0.0.1:8787.\n',
  );
});

test('something else answers there: what it said is shown', async () => {
  await using server = createServer((_, response) => response.writeHead(418).end('a teapot')).listen(
    0,
    '127.0.0.1',
  );
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const ended = await cronium(['logs', 'hello', '--url', `http://127.0.0.1:${port}`], env);
  expect(ended).toEqual({ code: 1, stdout: '', stderr: 'cronium: 418 a teapot\n' });
});

test('an engine that cannot be asked is told where one would be, and is nothing to the other commands', async () => {
  const elsewhere = {
    ...env,
    DOCKER_HOST: 'ssh://me@engine',
    PODMAN_HOST: 'nowhere',
    DOCKER_TLS_VERIFY: '1',
  };
  expect(await cronium(['token', '--sub', 'alice'], elsewhere)).toMatchObject({ code: 0, stderr: '' });
  const { code, stderr } = await cronium(['doctor'], elsewhere);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/DOCKER_HOST: must be unix:\/\/\/path or tcp:.*\n +PODMAN_HOST: must be/),
  ]);
});

test('doctor: what this host can isolate, for a person and for a program', { timeout: 180_000 }, async () => {
  const usable = docker.unavailable === undefined || bubblewrap.unavailable === undefined;
  const json = await cronium(['doctor', '--json'], env);
  expect(json.code).toBe(usable ? 0 : 1);
  const { findings, levels } = JSON.parse(json.stdout) as {
    findings: { isolation: string; usable: boolean }[];
    levels: { isolation: string; level: string; met: boolean; remedy?: string }[];
  };
  const meeting = (wanted: string) =>
    levels.filter(({ level, met }) => level === wanted && met).map(({ isolation }) => isolation);
  const usableOnes = findings.filter(({ usable: is }) => is).map(({ isolation }) => isolation);
  const expected = [
    ...(gvisor.unavailable ? [] : ['docker+runsc']),
    ...(docker.unavailable ? [] : ['docker+runc']),
    ...(podman.unavailable ? [] : ['podman+runc']),
    ...(bubblewrap.unavailable ? [] : ['bubblewrap']),
  ];
  expect(usableOnes).toEqual(expected);
  expect(meeting('basic')).toEqual(expected);
  expect(meeting('enhanced')).toEqual(expected);
  // The base images of this machine are named by tags.
  expect(meeting('paranoid')).toEqual([]);
  for (const { met, remedy } of levels) expect(met || remedy).toBeTruthy();
  const onGvisor = levels.find(
    ({ isolation, level }) => isolation === 'docker+runsc' && level === 'paranoid',
  );
  if (!gvisor.unavailable) expect(onGvisor?.remedy).toContain('must name its image by digest');
  expect([...new Set(findings.map(({ isolation }) => isolation.split('+')[0]))]).toEqual([
    'docker',
    'podman',
    'bubblewrap',
  ]);
});

test('doctor: without an engine it names the remedy, and ends with 1 when nothing isolates', async () => {
  const broken = {
    ...env,
    DOCKER_HOST: 'unix:///nowhere/docker.sock',
    PODMAN_HOST: 'unix:///nowhere/podman.sock',
  };
  const { code, stdout } = await cronium(['doctor'], broken);
  expect(stdout).toMatch(/^✘ docker: .*\n {4}remedy: Start a Docker engine/);
  expect(stdout).toMatch(/^docker +not met +not met +not met$/m);
  expect(stdout).toMatch(/^✘ docker at basic, enhanced, paranoid: /m);
  expect(code).toBe(bubblewrap.unavailable === undefined ? 0 : 1);
});

test('.env of the directory is read, and the shell comes first', async () => {
  using dir = new TempDir();
  writeFileSync(
    `${dir.path}/.env`,
    `JWT_SECRET=${SECRET}\nJWT_ISSUER=from-the-file\nJWT_AUDIENCE=from-the-file\n`,
  );
  const args = ['token', '--sub', 'alice'];
  const { stdout } = await cronium(args, { JWT_AUDIENCE: 'from-the-shell' }, { cwd: dir.path });
  expect(decodeJwt(stdout.trim())).toMatchObject({ iss: 'from-the-file', aud: 'from-the-shell' });
});
