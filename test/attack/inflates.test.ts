import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Engine } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { AttackedGateway, callUrl } from './gateway.ts';

const BOMB_BYTES = 32 * 2 ** 20;
const MAX_RESPONSE_BYTES = 64 * 1_024;

/** What is small when it is sent and large when it is opened; and, `times` over, one that is large when it is sent. */
const bombs = (answers: string) => `
import base64, zlib
def zipped(size):
    packer = zlib.compressobj(9, wbits=31)
    for _ in range(size >> 20): yield packer.compress(bytes(1 << 20))
    yield packer.flush()
def handler(event, context):
    bomb = b"".join(zipped(${BOMB_BYTES}))
    head = {"statusCode": 200, "headers": {"content-encoding": "gzip", "content-type": "text/plain"}}
${answers.replace(/^/gm, '    ')}
`;
const WHOLE = bombs(`
bomb *= int(event["queryStringParameters"]["times"])
return {**head, "isBase64Encoded": True, "body": base64.b64encode(bomb).decode()}`);
const STREAMED = bombs(`
yield head
for _ in range(int(event["queryStringParameters"]["times"])): yield bomb`);

// What a gateway does with an answer is the same whatever isolates the function.
await onEngine('bubblewrap', (engine: Engine) => {
  let attacked: AttackedGateway;

  beforeAll(async () => {
    const limits = {
      MAX_RESPONSE_BYTES: String(MAX_RESPONSE_BYTES),
      MAX_STREAM_BYTES: String(MAX_RESPONSE_BYTES),
    };
    attacked = await AttackedGateway.start(engine, limits);
  });
  afterAll(async () => {
    expect(await attacked.close()).toEqual([]);
  });

  test.each([
    ['whole', WHOLE],
    ['streamed', STREAMED],
  ])('an answer that inflates, %s, passes as it is, and its size is what is sent', async (_how, code) => {
    const url = await attacked.deploy('python', code);
    const { status, headers, body } = await getUntouched(`${url}?times=1`);
    expect(status).toBe(200);
    expect(headers['content-encoding']).toBe('gzip');
    expect(body.byteLength).toBeLessThan(MAX_RESPONSE_BYTES);
    expect(gunzipSync(body).equals(Buffer.alloc(BOMB_BYTES))).toBe(true);

    const tooLarge = await callUrl(`${url}?times=4`);
    const record = await attacked.record(tooLarge.invocationId);
    expect(record).toMatchObject({ status: 'failed', error: { code: 'response_too_large' } });
    expect(tooLarge.cut || tooLarge.code === 'response_too_large').toBe(true);
  });
});

/** As it comes over the wire: `fetch` would inflate it. */
async function getUntouched(
  url: string,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent: false }, resolve).on('error', reject);
  const response = await promise;
  return { status: response.statusCode!, headers: response.headers, body: await buffer(response) };
}
