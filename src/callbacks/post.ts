import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { isPublicAddress, publicLookup, refusal } from './addresses.ts';

const TIMEOUT_MS = 15_000;
const USER_AGENT = 'cronium-gateway';

/**
 * Posts and resolves to the status of the answer; redirects are not followed and the answer's body is not read. Every connection is
 * a new one, so that its address is looked up and checked.
 */
export function post(
  url: URL,
  headers: Record<string, string>,
  body: Buffer,
  { allowPrivate = false, timeoutMs = TIMEOUT_MS } = {},
): Promise<number> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  // An address needs no lookup, so nothing else would check it.
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return Promise.reject(refusal(host));
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = request(url, {
      method: 'POST',
      agent: false,
      signal,
      headers: { ...headers, 'content-length': String(body.byteLength), 'user-agent': USER_AGENT },
      ...(!allowPrivate && { lookup: publicLookup }),
    });
    sent.on('response', (response) => {
      resolve(response.statusCode ?? 0);
      response.on('error', () => {});
      response.destroy();
    });
    sent.on('error', (error) =>
      reject(signal.aborted ? new Error(`No answer within ${timeoutMs} ms`) : error),
    );
    sent.end(body);
  });
}
