import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { detectOptions } from '../../src/compose/detect-options.ts';
import { enginePlaceOf } from '../../src/engine-place.ts';
import { AgentBackend } from '../../src/sandbox/backend.ts';
import { detectBackend, NoIsolation } from '../../src/sandbox/detect.ts';
import { DockerLauncher } from '../../src/sandbox/docker.ts';
import { EngineClient } from '../../src/sandbox/engine-client.ts';
import { ANSWERS_42, answerOf, callOf, runIn, smallSpec } from '../contract/calls.ts';
import { engineConfig, newInstanceId } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { type Certified, makeCertificates, TlsEngine } from './tls-engine.ts';

const RUNC = { name: 'runc' } as const;

/** As a gateway with these settings would look for its engines. */
function optionsWith(settings: Record<string, string>) {
  const own = { instanceId: newInstanceId(), onProgress: () => {}, onEngineError: () => {} };
  return detectOptions(engineConfig({ RUNTIME: 'runc', ...settings }), own);
}

async function reasonAgainst(settings: Record<string, string>) {
  const refused = await detectBackend('docker', optionsWith(settings)).catch((error: unknown) => error);
  if (!(refused instanceof NoIsolation)) throw refused;
  return refused.refusals;
}

await onEngine('docker', () => {
  const place = enginePlaceOf(engineConfig().DOCKER_HOST ?? 'unix:///var/run/docker.sock');
  if (place === undefined || !('socketPath' in place))
    throw new Error('these tests need the engine’s socket');
  const { socketPath } = place;

  test('an engine behind TLS is verified, and runs functions', async () => {
    await using engine = await TlsEngine.inFrontOf(socketPath);
    const settings = {
      DOCKER_HOST: engine.host,
      DOCKER_TLS_VERIFY: '1',
      DOCKER_CERT_PATH: engine.certPath,
    };
    const backend = new AgentBackend(await DockerLauncher.connect(optionsWith(settings).docker, RUNC));
    try {
      const sandbox = await backend.create(smallSpec('bash'), AbortSignal.timeout(30_000));
      expect(answerOf(await runIn(sandbox, callOf(ANSWERS_42.bash)))).toBe(42);
      await sandbox.destroy();
    } finally {
      await backend.close();
    }
    expect(engine.connections).toBeGreaterThan(1);
  });

  test('DOCKER_CERT_PATH or DOCKER_TLS alone ask for TLS, too: nothing goes in the clear', async () => {
    await using engine = await TlsEngine.inFrontOf(socketPath);
    const { docker } = optionsWith({ DOCKER_HOST: engine.host, DOCKER_CERT_PATH: engine.certPath });
    (await EngineClient.connect('docker', docker)).close();
    expect(engine.connections).toBeGreaterThan(0);
    const { certPath } = optionsWith({ DOCKER_HOST: engine.host, DOCKER_TLS: '1' }).docker;
    expect(certPath).toMatch(/\/\.docker$/);
  });

  test('an engine that another authority vouches for is refused, once, and nothing is asked of it', async () => {
    await using engine = await TlsEngine.inFrontOf(socketPath);
    const other = mkdtempSync(join(tmpdir(), 'cronium-tls-'));
    makeCertificates(other);
    const settings = { DOCKER_HOST: engine.host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: other };
    expect(await reasonAgainst({ ...settings, RUNTIME: 'auto' })).toEqual([
      {
        name: 'docker',
        reason: expect.stringMatching(/certificate/),
        remedy: expect.stringContaining(`DOCKER_CERT_PATH (now ${other}) must have ca.pem`),
      },
    ]);
    expect(engine.connections).toBe(0);
    rmSync(other, { recursive: true });
  });

  test.each<[string, Certified, RegExp, RegExp]>([
    ['for another name', { name: 'DNS:elsewhere.example' }, /altnames/, /^Write DOCKER_HOST with a name/],
    ['that has expired', { days: 0 }, /expired/, /^Renew the certificate/],
  ])('a certificate %s is refused, with what to do about that', async (_, certified, reason, remedy) => {
    await using engine = await TlsEngine.inFrontOf(socketPath, certified);
    await pause(certified.days === 0 ? 1_100 : 0);
    const settings = { DOCKER_HOST: engine.host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: engine.certPath };
    expect(await reasonAgainst(settings)).toMatchObject([
      { reason: expect.stringMatching(reason), remedy: expect.stringMatching(remedy) },
    ]);
    expect(engine.connections).toBe(0);
  });

  test('so is an engine that answers in the clear, in one line', async () => {
    await using engine = await TlsEngine.inFrontOf(socketPath);
    const clear = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    }).listen(0, '127.0.0.1');
    await once(clear, 'listening');
    const { port } = clear.address() as AddressInfo;
    const settings = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_CERT_PATH: engine.certPath };
    expect(await reasonAgainst(settings)).toMatchObject([
      {
        reason: expect.stringMatching(/^.*wrong version number.*$/),
        remedy: expect.stringContaining('does not speak TLS at this port'),
      },
    ]);
    clear.close();
  });

  test('certificates that are not there are named', async () => {
    await using engine = await TlsEngine.inFrontOf(socketPath);
    const settings = { DOCKER_HOST: engine.host, DOCKER_CERT_PATH: '/nowhere' };
    expect(await reasonAgainst(settings)).toMatchObject([
      {
        reason: expect.stringContaining('/nowhere/ca.pem'),
        remedy: expect.stringContaining('DOCKER_CERT_PATH'),
      },
    ]);
    // An engine that wants to know its clients does not let one in who shows nothing.
    rmSync(join(engine.certPath, 'cert.pem'));
    rmSync(join(engine.certPath, 'key.pem'));
    const [refusal] = await reasonAgainst({ DOCKER_HOST: engine.host, DOCKER_CERT_PATH: engine.certPath });
    expect(refusal?.remedy).toContain('cert.pem and key.pem where it verifies its clients');
  });

  test('another address than the one of DOCKER_HOST, as Podman’s, is its own', async () => {
    vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
    try {
      const client = await EngineClient.connect('docker', { host: `unix://${socketPath}` });
      client.close();
    } finally {
      vi.unstubAllEnvs();
    }
  });
});
