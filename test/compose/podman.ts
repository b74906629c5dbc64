import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../e2e/processes.ts';
import type { Stack } from './stack.ts';

const TEST_TIMEOUT_MS = 240_000;
const FUNCTIONS = {
  python: 'def handler(event, context):\n    return "a" * int(event["body"])',
  nodejs: 'exports.handler = async (event) => "a".repeat(event.body)',
  bash: 'head -c "$(cat)" /dev/zero | tr "\\0" a',
};
const RUNTIMES = Object.keys(FUNCTIONS);
/** More than the memory of an event below, and less than that of this machine. */
const TOO_MANY = 256 * 2 ** 20;

const guide = readFileSync(join(ROOT, 'docs/compose-podman.md'), 'utf8');
const [set, build, load, up, status, down] = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map(
  ([, block]) => block!,
);

/** The variant with Podman in the gateway's container, on the gateway's image of a stack that is down. */
export function podmanVariant(stackOf: () => Stack): void {
  describe('with Podman in the gateway’s container', { timeout: TEST_TIMEOUT_MS }, () => {
    let token: string;

    const call = async (name: string, body: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return fetch(`${stackOf().url}/e/${name}`, { method: 'POST', headers, body });
    };

    /** Without waiting for the engine to look: it does so every ten seconds. */
    async function ready(): Promise<void> {
      await expect
        .poll(async () => (await fetch(`${stackOf().url}/readyz`).catch(() => undefined))?.status, {
          timeout: 60_000,
        })
        .toBe(200);
    }

    async function callAll(): Promise<void> {
      await ready();
      for (const runtime of RUNTIMES) {
        const response = await call(runtime, '3');
        expect([runtime, response.status, await response.text()]).toEqual([
          runtime,
          200,
          expect.stringContaining('aaa'),
        ]);
        expect(response.headers.get('x-cronium-isolation')).toMatch(/^podman\+(runc|crun)$/);
      }
    }

    const sandboxes = async () => (await stackOf().paste(status!)).trim().split('\n').filter(Boolean);

    test('comes up by the commands of the guide, with the limits on memory, and serves every language', async () => {
      const stack = stackOf();
      writeFileSync(join(stack.dir, '.env'), set!.match(/COMPOSE_FILE=\S+/)![0]);
      const files = process.env.PODMAN_FILES_IMAGE;
      // A build here has no network to install from.
      if (files !== undefined)
        await stack.paste(
          `printf 'FROM ${stack.name}\\nUSER 0:0\\nCOPY --from=${files} / /\\nUSER 10001:10001\\n' | docker build -q -t ${stack.name} -`,
        );
      await stack.paste(
        build!
          .split('\n')
          .filter((line) => !line.includes('COMPOSE_FILE='))
          .join('\n'),
      );
      await stack.paste(
        load!
          .replace('python:3.13-slim-bookworm', process.env.PYTHON_BASE_IMAGE ?? '$&')
          .replace('node:24-bookworm-slim', process.env.NODE_BASE_IMAGE ?? '$&'),
      );
      await stack.paste(up!);
      await ready();
      const printed = await stack.paste('docker compose exec -T gateway node bin/cronium token --sub alice');
      token = printed.trim();
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      for (const [runtime, code] of Object.entries(FUNCTIONS)) {
        const body = JSON.stringify({ name: runtime, runtime, code, memoryMb: 64 });
        const response = await fetch(`${stack.url}/v1/events`, { method: 'POST', headers, body });
        expect([runtime, response.status, await response.text()]).toEqual([runtime, 201, expect.anything()]);
      }
      await callAll();
      const tooMuch = await call('python', String(TOO_MANY));
      expect([tooMuch.status, await tooMuch.json()]).toMatchObject([502, { code: 'out_of_memory' }]);
    });

    test('has nothing of the host, and no process that is root', async () => {
      const stack = stackOf();
      const { Mounts, HostConfig } = await stack.container('gateway');
      expect(Mounts.filter(({ Type }) => Type === 'bind')).toEqual([]);
      expect(HostConfig).toMatchObject({
        Privileged: false,
        ReadonlyRootfs: true,
        PidMode: '',
        Devices: null,
      });
      const privileged = await stack.paste(
        "docker compose exec -T gateway sh -c 'cat /proc/1/status' | grep -E '^(Uid|CapPrm|CapBnd|NoNewPrivs)'",
      );
      expect(privileged.replace(/\s+/g, ' ').trim()).toBe(
        'Uid: 10001 10001 10001 10001 CapPrm: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1',
      );
      // Who asks is root himself, as the two of `docker compose exec` are.
      const owners = await stack.paste(
        "docker compose exec -T gateway sh -c 'stat -c %u /proc/[0-9]* 2>/dev/null || true'",
      );
      const ids = owners.trim().split('\n');
      // The gateway, Podman, and sandboxes, each a user of its own.
      expect(ids).toEqual(expect.arrayContaining(['10001', '100000', expect.stringMatching(/^150\d{3}$/)]));
      expect(ids.filter((id) => id === '0').length).toBeLessThanOrEqual(2);
      const socket = await stack.try('docker compose exec -T gateway test -S /var/run/docker.sock');
      expect(socket.code).toBe(1);
    });

    test('stops in order, and has everything when it starts again', async () => {
      await stackOf().paste('docker compose stop gateway');
      // By a signal it would be over 128.
      expect((await stackOf().container('gateway')).State.ExitCode).toBe(0);
      await stackOf().paste(up!);
      await callAll();
    });

    test('removes what it left when it was killed', async () => {
      const before = await sandboxes();
      expect(before.length).toBeGreaterThanOrEqual(RUNTIMES.length);
      await stackOf().paste('docker compose kill gateway');
      await stackOf().paste(up!);
      await callAll();
      const after = await sandboxes();
      expect(after.filter((id) => before.includes(id))).toEqual([]);
    });

    test('is gone with all it had after down -v', async () => {
      await stackOf().paste(down!);
      expect(await stackOf().left()).toEqual([]);
      await stackOf().try(`docker rmi ${stackOf().name}-podman`);
      stackOf().unset();
    });
  });
}
