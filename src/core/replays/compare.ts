import type { Invocation } from '../invocation.ts';
import type { StoredResult } from '../queue/queue.ts';
import { diffJson, type JsonDiff, shortened } from './json-diff.ts';

/** One of the two that are compared. */
export interface Side {
  invocation: Pick<Invocation, 'id' | 'status' | 'error' | 'phases'>;
  /** What it answered; `undefined` when that was not kept. */
  result: StoredResult | undefined;
}

export interface Change<T> {
  before: T;
  after: T;
}

export type BodyDifference =
  | ({ kind: 'json' } & JsonDiff)
  /** `at` is the first character that differs; a piece from there on. */
  | ({ kind: 'text'; at: number } & Change<string>)
  /** Sizes in bytes. */
  | ({ kind: 'binary' } & Change<number>);

export interface Comparison {
  /** `unknown` when the answers agree as far as they are known, and one of them was not kept. */
  verdict: 'same' | 'different' | 'unknown';
  /** `succeeded`, or the code of the error. */
  status?: Change<string>;
  statusCode?: Change<number>;
  body?: BodyDifference;
  /** In the function, ms; `null` when it did not get so far. */
  durationMs: Change<number | null>;
  /** After by before. */
  durationRatio: number | null;
}

/** What the function sees of its invocation and may say again: no difference between versions. */
const OWN_ID = '<invocation id>';

/** @param ignored JSON Pointers into the body that may differ */
export function compareSides(before: Side, after: Side, ignored: readonly string[] = []): Comparison {
  const [from, to] = [before.invocation.phases.exec ?? null, after.invocation.phases.exec ?? null];
  const duration = {
    durationMs: { before: from, after: to },
    durationRatio: from === null || to === null || from === 0 ? null : to / from,
  };
  const status = { before: outcomeOf(before), after: outcomeOf(after) };
  if (status.before !== status.after) return { verdict: 'different', status, ...duration };
  if (status.after !== 'succeeded') return { verdict: 'same', ...duration };
  if (before.result === undefined || after.result === undefined) return { verdict: 'unknown', ...duration };
  const statusCode = { before: before.result.statusCode, after: after.result.statusCode };
  const body = diffBodies(bodyOf(before), bodyOf(after), ignored);
  const isSame = statusCode.before === statusCode.after && body === undefined;
  return {
    verdict: isSame ? 'same' : 'different',
    ...(statusCode.before !== statusCode.after && { statusCode }),
    ...(body !== undefined && { body }),
    ...duration,
  };
}

/** A call that somebody waited for `failed`; one that was tried again until the end is `dead`: what counts is why. */
function outcomeOf({ invocation: { status, error } }: Side): string {
  return status === 'succeeded' ? status : (error?.code ?? status);
}

interface Body {
  text: string;
  isBinary: boolean;
}

function bodyOf({ invocation, result }: Side): Body {
  const { body, isBase64Encoded } = result!;
  return isBase64Encoded
    ? { text: body, isBinary: true }
    : { text: body.replaceAll(invocation.id, OWN_ID), isBinary: false };
}

function diffBodies(before: Body, after: Body, ignored: readonly string[]): BodyDifference | undefined {
  if (before.text === after.text && before.isBinary === after.isBinary) return undefined;
  if (before.isBinary || after.isBinary) {
    return { kind: 'binary', before: sizeOf(before), after: sizeOf(after) };
  }
  const [a, b] = [parsed(before.text), parsed(after.text)];
  if (a === undefined || b === undefined)
    return { kind: 'text', ...firstDifference(before.text, after.text) };
  const json = diffJson(a.value, b.value, ignored);
  return json.paths.length === 0 ? undefined : { kind: 'json', ...json };
}

const sizeOf = ({ text, isBinary }: Body) => Buffer.byteLength(text, isBinary ? 'base64' : 'utf8');

function parsed(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function firstDifference(before: string, after: string): { at: number } & Change<string> {
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  return { at, before: shortened(before.slice(at)), after: shortened(after.slice(at)) };
}
