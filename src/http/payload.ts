import type { Event } from '../core/event.ts';
import type { WebhookScheme } from '../core/webhook.ts';
import type { Principal } from './principal.ts';

/** Whose signature was checked, and by which id the sender names the delivery. */
export interface WebhookDelivery {
  scheme: WebhookScheme;
  id: string | null;
}

/** AWS Lambda payload format 2.0, as function URLs send it. */
export interface Payload {
  version: '2.0';
  routeKey: '$default';
  /** Below the function's URL, percent-encoded as it came. */
  rawPath: string;
  rawQueryString: string;
  cookies?: string[];
  headers: Record<string, string>;
  queryStringParameters?: Record<string, string>;
  requestContext: {
    accountId: string;
    apiId: string;
    domainName: string;
    domainPrefix: string;
    authorizer?:
      | { jwt: { claims: Record<string, unknown>; scopes: string[] } }
      | { webhook: WebhookDelivery };
    http: { method: string; path: string; protocol: string; sourceIp: string; userAgent: string };
    requestId: string;
    routeKey: '$default';
    stage: '$default';
    time: string;
    timeEpoch: number;
  };
  body?: string;
  isBase64Encoded: boolean;
}

export interface PayloadSource {
  requestId: string;
  event: Event;
  principal: Principal | undefined;
  /** Given in place of a principal, when a signature was checked. */
  webhook?: WebhookDelivery;
  method: string;
  /** Absolute, below `/e/<event>`. */
  url: string;
  headers: Headers;
  /** Keep the `Authorization` header back: it holds a token for the gateway, which is none of the function's business. */
  withholdAuthorization: boolean;
  body: Uint8Array;
  protocol: string;
  sourceIp: string;
  now: Date;
}

export function buildPayload(source: PayloadSource): Payload {
  const { event, principal, webhook, headers, requestId, now } = source;
  const { path, query } = split(source.url);
  const parameters = joined(new URLSearchParams(query));
  const cookies = cookiesOf(headers.get('cookie'));
  const domainName = (headers.get('host') ?? '').replace(/:\d*$/, '');
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    ...(cookies.length > 0 ? { cookies } : {}),
    headers: headersOf(headers, source.withholdAuthorization),
    ...(query === '' ? {} : { queryStringParameters: parameters }),
    requestContext: {
      accountId: principal === undefined ? 'anonymous' : event.ownerId,
      apiId: event.name,
      domainName,
      domainPrefix: domainName.split('.')[0] ?? '',
      ...(principal !== undefined && {
        authorizer: { jwt: { claims: { ...principal.claims }, scopes: [...principal.scopes] } },
      }),
      ...(webhook !== undefined && { authorizer: { webhook } }),
      http: {
        method: source.method,
        path,
        protocol: source.protocol,
        sourceIp: source.sourceIp,
        userAgent: headers.get('user-agent') ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: commonLogTime(now),
      timeEpoch: now.getTime(),
    },
    ...bodyOf(source.body, headers.get('content-type')),
  };
}

/** By hand and not by `URL`, which would encode some characters that came as they are. */
function split(url: string): { path: string; query: string } {
  const [target = ''] = url.slice(url.indexOf('/', url.indexOf('://') + 3)).split('#', 1);
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const below = path.indexOf('/', '/e/'.length);
  return { path: below === -1 ? '/' : path.slice(below), query: mark === -1 ? '' : target.slice(mark + 1) };
}

function joined(pairs: Iterable<[string, string]>): Record<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of pairs) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(values);
}

function headersOf(headers: Headers, withholdAuthorization: boolean): Record<string, string> {
  const kept: [string, string][] = [];
  headers.forEach((value, name) => {
    if (name === 'cookie' || (withholdAuthorization && name === 'authorization')) return;
    kept.push([name, value]);
  });
  return Object.fromEntries(kept);
}

function cookiesOf(header: string | null): string[] {
  if (header === null) return [];
  return header
    .split(';')
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== '');
}

const TEXT_TYPE =
  /^(text\/.*|application\/(.*\+)?(json|xml)|application\/(x-ndjson|javascript|ecmascript|graphql|yaml|x-www-form-urlencoded)|image\/svg\+xml)$/;

function bodyOf(body: Uint8Array, contentType: string | null): { body?: string; isBase64Encoded: boolean } {
  if (body.byteLength === 0) return { isBase64Encoded: false };
  if (isText(contentType)) {
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
      return { body: text, isBase64Encoded: false };
    } catch {
      // Not UTF-8, whatever its type says: the bytes must arrive as they are.
    }
  }
  return { body: Buffer.from(body).toString('base64'), isBase64Encoded: true };
}

function isText(contentType: string | null): boolean {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  const isUtf8 = charset === undefined || /^charset="?(utf-?8|us-ascii)"?$/.test(charset);
  return isUtf8 && TEXT_TYPE.test(type.trim());
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `12/Mar/2020:19:03:58 +0000` */
function commonLogTime(now: Date): string {
  const [date = '', time = ''] = now.toISOString().slice(0, 19).split('T');
  const [year, month, day] = date.split('-');
  return `${day}/${MONTHS[Number(month) - 1]}/${year}:${time} +0000`;
}
