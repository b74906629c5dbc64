import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import lock from '../../package-lock.json' with { type: 'json' };
import { cleanEnv, type Ended, ROOT, run, TempDir } from '../e2e/processes.ts';

const ADVISORIES = '/-/npm/v1/security/advisories/bulk';
const NO_ANSWER = 3;
const { version } = lock.packages['node_modules/croner'];

/** What .ci/lib/audit.js makes of a registry that answers like this. */
async function auditWith(answer: RequestListener): Promise<Ended> {
  using dir = new TempDir();
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(join(ROOT, name), join(dir.path, name));
  const registry = createServer(answer).listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const env = {
    ...cleanEnv(),
    npm_config_registry: `http://127.0.0.1:${(registry.address() as AddressInfo).port}`,
    npm_config_cache: join(dir.path, 'cache'),
    npm_config_fetch_retries: '0',
  };
  try {
    return await run([process.execPath, join(ROOT, '.ci/lib/audit.js')], { cwd: dir.path, env });
  } finally {
    registry.closeAllConnections();
    registry.close();
  }
}

/** Of one package, which is in the lock. */
const advisory = (severity: string): RequestListener => {
  const found = { id: 1, url: 'https://example.com/1', title: 'a hole', severity, vulnerable_versions: '*' };
  return (request, response) => {
    response.setHeader('content-type', 'application/json');
    const manifest = { name: 'croner', version, dist: {} };
    if (request.url === ADVISORIES) response.end(JSON.stringify({ croner: [found] }));
    else if (request.url === '/croner') {
      response.end(JSON.stringify({ name: 'croner', 'dist-tags': {}, versions: { [version]: manifest } }));
    } else response.writeHead(404).end('{}');
  };
};

test.each([
  ['high', 1],
  ['moderate', 0],
])('a %s vulnerability of a package ends the audit with %i, and is told', async (severity, code) => {
  const ended = await auditWith(advisory(severity));
  expect([ended.code, ended.stderr]).toEqual([
    code,
    expect.stringContaining(`${severity}: croner *: a hole`),
  ]);
});

test('a registry that has no answer is not taken for one that knows of nothing', async () => {
  const nothing = await auditWith((_, response) => response.end('{}'));
  expect([nothing.code, nothing.stderr]).toEqual([0, expect.stringContaining('0 known vulnerabilities')]);
  const refusing = await auditWith((_, response) => response.writeHead(405).end());
  expect([refusing.code, refusing.stderr]).toEqual([NO_ANSWER, expect.stringContaining('NOT DONE')]);
});
