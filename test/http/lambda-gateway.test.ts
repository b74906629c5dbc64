import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken } from '../../src/http/tokens.ts';
import { createLog } from '../../src/logger.ts';
import { type Gateway, startGateway } from '../../src/main.ts';
import { engineConfig } from '../engines.ts';
import { onEngine } from '../on-engine.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const FUNCTIONS: Record<string, { runtime: string; code: string; timeoutMs?: number }> = {
  hello: {
    runtime: 'python',
    code: 'def handler(event, context):\n  print("said hello")\n  return {"statusCode": 404, "hello": event["who"]}\n',
  },
  broken: {
    runtime: 'nodejs',
    code: 'exports.handler = async () => { throw new TypeError("on purpose"); };',
  },
  slow: { runtime: 'python', code: 'import time\ndef handler(e, c):\n  time.sleep(60)\n', timeoutMs: 1_500 },
  streamed: { runtime: 'python', code: 'def handler(e, c):\n  yield "one "\n  yield "two"\n' },
  shell: { runtime: 'bash', code: 'echo \'{"from":"bash"}\'' },
};

await onEngine('bubblewrap', () => {
  describe('the AWS SDK and a gateway with real sandboxes', () => {
    let dataDir: string;
    let gateway: Gateway;
    let token: string;
    let lambda: LambdaClient;

    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'cronium-lambda-'));
      const config = engineConfig({
        DATA_DIR: dataDir,
        PORT: '0',
        ISOLATION_MODE: 'bubblewrap',
        POOL_MIN: '0',
        POOL_TARGET: '1',
      });
      gateway = await startGateway({ config, log: createLog('silent'), onProgress: () => {} });
      const claims = { sub: 'alice', scope: 'events:read events:write events:invoke', ttlSeconds: 600 };
      token = await signToken(claims, gateway.jwtSecret!);
      for (const [name, draft] of Object.entries(FUNCTIONS)) {
        const response = await fetch(`${gateway.url}/v1/events`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ name, ...draft }),
        });
        expect(response.status, await response.text()).toBe(201);
      }
      const credentials = { accessKeyId: 'cronium', secretAccessKey: 'unused', sessionToken: token };
      lambda = new LambdaClient({ region: 'local', endpoint: gateway.url, credentials, maxAttempts: 1 });
    });
    afterAll(async () => {
      lambda?.destroy();
      await gateway?.close();
      await rm(dataDir, { recursive: true, force: true });
    });

    async function invoke(FunctionName: string) {
      const command = new InvokeCommand({ FunctionName, Payload: '{"who":"world"}', LogType: 'Tail' });
      const { Payload, LogResult = '', ...output } = await lambda.send(command);
      return {
        ...output,
        text: Payload?.transformToString() ?? '',
        log: Buffer.from(LogResult, 'base64').toString(),
      };
    }

    test('give the payload to the function and its value and log to the caller', async () => {
      const output = await invoke('hello');
      expect(output).toMatchObject({ StatusCode: 200, ExecutedVersion: '1' });
      expect(JSON.parse(output.text)).toEqual({ statusCode: 404, hello: 'world' });
      const id = output.$metadata.requestId;
      expect(output.log).toMatch(
        new RegExp(
          `^START RequestId: ${id} Version: 1\nsaid hello\nEND RequestId: ${id}\nREPORT RequestId: ${id}\t`,
        ),
      );
    });

    test('tell of an error with its type and its trace', async () => {
      const output = await invoke('broken');
      expect(output.FunctionError).toBe('Unhandled');
      const { errorMessage, errorType, trace } = JSON.parse(output.text);
      expect([errorMessage, errorType]).toEqual(['on purpose', 'TypeError']);
      expect(trace.join('\n')).toContain('TypeError: on purpose');
    });

    test('tell that the time ran out', async () => {
      const output = await invoke('slow');
      expect(output.FunctionError).toBe('Unhandled');
      expect(JSON.parse(output.text)).toMatchObject({
        errorType: 'Sandbox.Timedout',
        errorMessage: expect.stringMatching(/Task timed out after 1\.50 seconds$/),
      });
      expect(output.log).toContain('Task timed out after 1.50 seconds');
    });

    test('bring a stream whole', async () => {
      expect((await invoke('streamed')).text).toBe('one two');
      expect(JSON.parse((await invoke('shell')).text)).toEqual({ from: 'bash' });
    });

    test('work as docs/api.md shows', async () => {
      const page = await readFile(join(ROOT, 'docs/api.md'), 'utf8');
      const snippet = /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', snippet], {
        cwd: ROOT,
        env: { PATH: process.env.PATH, CRONIUM_URL: gateway.url, CRONIUM_TOKEN: token },
      });
      expect(JSON.parse(stdout)).toEqual({ statusCode: 404, hello: 'world' });
    });
  });
});
