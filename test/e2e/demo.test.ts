import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { GatewayProcess, leftOf, run, TempDir } from './processes.ts';

const EXPECTED = ['Hello, Ada, from Python!', 'Hello, Ada, from Node.js!', 'You said: GOOD MORNING'];
const curl = versionOfCurl();
if (curl === undefined) console.warn('skipped: the printed curl lines: this machine has no curl');

function versionOfCurl(): string | undefined {
  try {
    return execFileSync('curl', ['--version'], { encoding: 'utf8', stdio: 'pipe' }).split('\n')[0];
  } catch {
    return undefined;
  }
}

for (const name of ['docker+runsc', 'docker', 'podman', 'bubblewrap'] as const) {
  await onEngine(name, ({ mode, settings }) => {
    describe.skipIf(curl === undefined)('serve --demo', () => {
      test('every printed curl line, pasted into a shell, is answered by a warm sandbox', async () => {
        using dir = new TempDir();
        await using gateway = new GatewayProcess({
          dataDir: dir.path,
          mode,
          env: settings,
          args: ['--demo'],
        });
        await gateway.until('banner', () => gateway.stdout.includes("/e/hello-bash'"));
        const lines = gateway.stdout.split('\n').filter((line) => line.startsWith('curl '));
        expect(lines).toHaveLength(EXPECTED.length);
        for (const [index, line] of lines.entries()) {
          const { code, stdout } = await run(['sh', '-c', line]);
          const [head, body] = stdout.split('\r\n\r\n');
          expect([code, head]).toEqual([0, expect.stringMatching(/^HTTP\/1\.1 200 OK\r\n/)]);
          expect(head).toMatch(/^x-cronium-start: warm\r?$/m);
          expect(body).toContain(EXPECTED[index]);
        }
        gateway.signal('SIGINT');
        expect((await gateway.ended).code).toBe(0);
        // In the demo, only what a person has to know is logged.
        expect(gateway.stderr).not.toContain('"level":30');
        expect(await leftOf(dir.path)).toEqual([]);
      });
    });
  });
}
