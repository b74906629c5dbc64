import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RECEIPT_TYPE, receiptSchema } from '../../src/receipts/receipt.ts';
import { createSigner, verifySigned } from '../../src/signing.ts';
import { CLI, cleanEnv, cronium, ROOT, run, TempDir } from '../e2e/processes.ts';
import { type Answer, eventually, Served } from '../faults/served.ts';
import { onEngine } from '../on-engine.ts';

const guide = readFileSync(join(ROOT, 'docs/receipts.md'), 'utf8');
const ECHO = `def handler(event, context):
    return {"statusCode": 201, "headers": {"x-cronium-receipt": "forged"}, "body": "got " + event.get("body", "nothing")}`;
const STREAM = `def handler(event, context):
    import time
    for part in ["one ", "two ", "three"]:
        yield part
        time.sleep(0.05)`;
const MUCH = `def handler(event, context):
    left = int(event["queryStringParameters"]["bytes"])
    while left > 0:
        yield "x" * min(left, 20000)
        left -= 20000`;
const MAX_RESPONSE_BYTES = 100_000;
const FAILS = 'def handler(event, context):\n    raise ValueError("no")';
const AT_THE_SECOND = `import cronium
def handler(event, context):
    if cronium.increment_variable("tries") < 2: raise ValueError("not yet")
    return "at last"`;
const ASKED = { 'x-cronium-receipt': 'true' };

const sha256 = (...parts: (string | Uint8Array)[]) =>
  parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex');

await onEngine('bubblewrap', () => {
  let gateway: Served;
  let keySet: JSONWebKeySet;

  beforeAll(async () => {
    gateway = await Served.start({
      env: { CALLBACK_ALLOW_PRIVATE: 'true', MAX_RESPONSE_BYTES: String(MAX_RESPONSE_BYTES) },
    });
    keySet = JSON.parse((await gateway.send('/.well-known/jwks.json')).body);
    await gateway.deploy('echo', 'python', ECHO);
    await gateway.deploy('stream', 'python', STREAM);
    await gateway.deploy('much', 'python', MUCH);
    await gateway.deploy('fails', 'python', FAILS);
    await gateway.deploy('second', 'python', AT_THE_SECOND, { async: { backoffMs: 100 } });
    await gateway.deploy('dies', 'python', FAILS, { async: { attempts: 2, backoffMs: 100 } });
  });
  afterAll(async () => {
    await gateway.stop();
    await gateway[Symbol.asyncDispose]();
  });

  const read = async (jws: string) => receiptSchema.parse(await verifySigned(jws, RECEIPT_TYPE, keySet));

  /** The receipt as the API has it, once the call has ended. */
  const fetched = (answer: Answer, sub = 'alice') =>
    eventually('receipt', async () => {
      const path = `/v1/invocations/${answer.headers.get('x-cronium-invocation-id')}/receipt`;
      const { status, body } = await gateway.send(path, {}, sub);
      return status === 200 ? body : undefined;
    });

  test('a whole answer brings its receipt, which is signed and says what was done', async () => {
    const answer = await gateway.send('/e/echo/a?b=c', { method: 'POST', headers: ASKED, body: 'hello' });
    expect([answer.status, answer.body]).toEqual([201, 'got hello']);
    const receipt = await read(answer.headers.get('x-cronium-receipt')!);
    expect(receipt).toMatchObject({
      gateway: readFileSync(join(gateway.dataDir, 'instance-id'), 'utf8').trim(),
      invocationId: answer.headers.get('x-cronium-invocation-id'),
      event: { name: 'echo', version: 1, runtime: 'python' },
      codeSha256: sha256(ECHO),
      inputSha256: sha256('POST /e/echo/a?b=c\n', 'hello'),
      outputSha256: sha256('got hello'),
      status: 'succeeded',
      statusCode: 201,
      error: null,
      attempt: 1,
      start: answer.headers.get('x-cronium-start'),
      isolation: 'bubblewrap',
      level: 'basic',
      image: null,
      limits: { enforced: true, timeoutMs: 30_000, memoryBytes: 128 * 2 ** 20, cpus: 1 },
    });
    expect(Date.parse(receipt.endedAt)).toBeGreaterThanOrEqual(Date.parse(receipt.startedAt));
    expect(await fetched(answer)).toBe(answer.headers.get('x-cronium-receipt'));
  });

  test('a streamed answer’s receipt is of all of it, and there when it has ended', async () => {
    const answer = await gateway.send('/e/stream', { headers: ASKED });
    expect(answer.headers.has('x-cronium-receipt')).toBe(false);
    const receipt = await read(await fetched(answer));
    expect(answer.body).toBe('one two three');
    expect(receipt).toMatchObject({ status: 'succeeded', outputSha256: sha256('one two three') });
    expect(receipt.inputSha256).toBe(sha256('GET /e/stream\n'));
  });

  test('a call that failed has one too, that is of no output', async () => {
    const answer = await gateway.send('/e/fails', { headers: ASKED });
    expect(answer.status).toBe(502);
    expect(await read(await fetched(answer))).toMatchObject({
      status: 'failed',
      statusCode: 502,
      error: 'function_error',
      outputSha256: null,
    });
  });

  test('Invoke of Lambda’s API gives one for the same header', async () => {
    const path = '/2015-03-31/functions/echo/invocations';
    const answer = await gateway.send(path, { method: 'POST', headers: ASKED, body: '{"body": "x"}' });
    expect(await read(answer.headers.get('x-cronium-receipt')!)).toMatchObject({
      inputSha256: sha256(`POST ${path}\n`, '{"body": "x"}'),
      outputSha256: sha256(answer.body),
    });
  });

  describe('a call that nobody waits for', () => {
    const ASYNC = { ...ASKED, prefer: 'respond-async' };

    test('has one of the attempt that succeeded, once it has ended', async () => {
      const answer = await gateway.send('/e/second?n=1', { method: 'POST', headers: ASYNC, body: 'in' });
      expect(answer.status).toBe(202);
      const receipt = await read(await fetched(answer));
      const id = answer.headers.get('x-cronium-invocation-id');
      expect(receipt).toMatchObject({
        invocationId: id,
        codeSha256: sha256(AT_THE_SECOND),
        inputSha256: sha256('POST /e/second?n=1\n', 'in'),
        outputSha256: sha256(Buffer.from('"at last"')),
        status: 'succeeded',
        statusCode: 200,
        attempt: 2,
        isolation: 'bubblewrap',
      });
      const { result } = JSON.parse((await gateway.send(`/v1/invocations/${id}`)).body);
      expect(sha256(result.body)).toBe(receipt.outputSha256);
    });

    test('and one of the last attempt when it is dead', async () => {
      const path = '/2015-03-31/functions/dies/invocations';
      const headers = { ...ASKED, 'x-amz-invocation-type': 'Event' };
      const answer = await gateway.send(path, { method: 'POST', headers, body: '{}' });
      expect(await read(await fetched(answer))).toMatchObject({
        inputSha256: sha256(`POST ${path}\n`, '{}'),
        outputSha256: null,
        status: 'failed',
        error: 'function_error',
        attempt: 2,
      });
    });

    test.each([1, 40])(
      'and one of the failure when %i times too much was streamed to be kept',
      async (times) => {
        const query = `?bytes=${times * (MAX_RESPONSE_BYTES + 1)}`;
        const answer = await gateway.send(`/e/much${query}`, { headers: ASYNC });
        const receipt = await read(await fetched(answer));
        const id = answer.headers.get('x-cronium-invocation-id');
        const record = JSON.parse((await gateway.send(`/v1/invocations/${id}`)).body);
        expect(record).toMatchObject({ status: 'dead', error: { code: 'response_too_large' } });
        expect(receipt).toMatchObject({ status: 'failed', error: 'response_too_large', outputSha256: null });
      },
    );

    test('brings it to who is called back, beside the bytes that it is of', async () => {
      const { promise: heard, resolve } = Promise.withResolvers<[string | undefined, string]>();
      const server = createServer((request, response) => {
        text(request).then((body) => {
          response.end();
          resolve([request.headers['x-cronium-receipt'] as string | undefined, body]);
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/told`;
      await gateway.send('/e/stream', { headers: { ...ASYNC, 'x-callback-url': url } });
      const [jws, body] = await heard;
      expect(body).toBe('one two three');
      expect(await read(jws!)).toMatchObject({ attempt: 1, outputSha256: sha256(body) });
      server.close();
      await once(server, 'close');
    });
  });

  test('who does not ask gets none, and a wish that is none is refused', async () => {
    const answer = await gateway.send('/e/echo');
    expect(answer.headers.has('x-cronium-receipt')).toBe(false);
    const id = answer.headers.get('x-cronium-invocation-id');
    const refusal = await eventually('end', async () => {
      const { problem } = await gateway.send(`/v1/invocations/${id}/receipt`);
      return problem?.detail.includes('it has not ended') ? undefined : problem;
    });
    expect(refusal).toMatchObject({ status: 404, detail: expect.stringContaining('did not ask') });
    const refused = await gateway.send('/e/echo', { headers: { 'x-cronium-receipt': 'please' } });
    expect(refused.problem).toMatchObject({ status: 400, code: 'bad_request' });
  });

  test('who made the call may read it without a scope for reading, and nobody else but the owner', async () => {
    await gateway.deploy('open', 'python', ECHO, { auth: 'public' });
    const answer = await gateway.send('/e/open', { headers: ASKED }, 'bob');
    const jws = await fetched(answer, 'bob');
    expect(await fetched(answer, 'alice')).toBe(jws);
    const path = `/v1/invocations/${answer.headers.get('x-cronium-invocation-id')}/receipt`;
    expect((await gateway.send(path, {}, 'carol')).status).toBe(404);
    expect((await fetch(`${gateway.url}${path}`)).status).toBe(401);
  });

  describe('verified', () => {
    let dir: TempDir;
    beforeAll(() => {
      dir = new TempDir();
    });
    afterAll(() => dir[Symbol.dispose]());

    const file = (name: string, content: string) => {
      const path = join(dir.path, name);
      writeFileSync(path, content);
      return path;
    };

    test('by a stranger who has only the guide and the public key', async () => {
      const answer = await gateway.send('/e/echo?q=1', { method: 'PUT', headers: ASKED, body: 'bytes' });
      const script = file('verify.mjs', /```js\n([\s\S]*?)```/.exec(guide)![1]!);
      const files = [
        file('receipt', answer.headers.get('x-cronium-receipt')!),
        file('jwks.json', JSON.stringify(keySet)),
        file('code', ECHO),
        'PUT /e/echo?q=1',
        file('body', 'bytes'),
        file('output', answer.body),
      ];
      const verified = (args: string[]) =>
        execFileSync(process.execPath, [script, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
      expect(verified(files)).toBe(answer.headers.get('x-cronium-invocation-id'));
      const other = file('other', 'other');
      for (const place of [2, 4, 5]) expect(() => verified(files.with(place, other))).toThrow(/other \w+/);
      const [head, , signature] = answer.headers.get('x-cronium-receipt')!.split('.');
      const forged = Buffer.from('{"invocationId": "never"}').toString('base64url');
      expect(() => verified(files.with(0, file('forged', `${head}.${forged}.${signature}`)))).toThrow(
        /not signed/,
      );
    });

    test('by the command, which tells a receipt from what else the key has signed', async () => {
      const env = { DATA_DIR: gateway.dataDir };
      const answer = await gateway.send('/e/echo', { headers: ASKED });
      const receipt = file('receipt', answer.headers.get('x-cronium-receipt')!);
      const verify = (...args: string[]) => cronium(['receipt', 'verify', ...args], env);
      const byUrl = await verify(receipt, '--jwks', `${gateway.url}/.well-known/jwks.json`);
      expect(byUrl).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(byUrl.stdout)).toMatchObject({ status: 'succeeded', codeSha256: sha256(ECHO) });
      const wrong = await verify(receipt, '--output', file('output', 'other'));
      expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('--output')]);
      const checkpoint = await verify(join(gateway.dataDir, 'audit', 'changes.checkpoint'));
      expect([checkpoint.code, checkpoint.stderr]).toEqual([
        1,
        expect.stringContaining('is a cronium-audit'),
      ]);
      const stranger = file('jwks.json', JSON.stringify((await createSigner(Buffer.alloc(32, 7))).keySet));
      expect((await verify(receipt, '--jwks', stranger)).code).toBe(1);
    });

    test('by the commands of the guide', async () => {
      const [, commands] = /```sh\n([\s\S]*?)```/.exec(guide)!;
      const cli = `${process.execPath} ${CLI}`;
      const script = commands!
        .replaceAll('npx cronium', cli)
        .replace(/\$\(npm run .*\)/, await gateway.token())
        .replaceAll(':8787', `:${gateway.port}`);
      symlinkSync(join(ROOT, 'examples'), join(dir.path, 'examples'));
      const access = { CRONIUM_URL: gateway.url, CRONIUM_TOKEN: await gateway.token() };
      const env = { ...cleanEnv(), ...access, DATA_DIR: gateway.dataDir };
      const ended = await run(['bash', '-euo', 'pipefail', '-c', script], { env, cwd: dir.path });
      expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('"status": "succeeded"') });
    });
  });
});
