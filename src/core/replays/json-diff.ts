/** Where two JSON values are not the same. A side that is absent has nothing there. */
export interface JsonDifference {
  /** JSON Pointer (RFC 6901): `/items/0/name`; `` is the whole. */
  path: string;
  before?: string;
  after?: string;
}

export interface JsonDiff {
  paths: JsonDifference[];
  /** There are more than are told. */
  truncated: boolean;
}

const MAX_PATHS = 20;
/** Of a value, as JSON. */
const MAX_CHARS = 200;
const MAX_DEPTH = 64;
const TOO_DEEP = '…';

/** @param ignored JSON Pointers; what is at or below one of them is not looked at */
export function diffJson(before: unknown, after: unknown, ignored: readonly string[] = []): JsonDiff {
  const diff: JsonDiff = { paths: [], truncated: false };
  const skipped = new Set(ignored);

  const tell = (path: string, has: { before: boolean; after: boolean }, a: unknown, b: unknown) => {
    if (diff.paths.length === MAX_PATHS) {
      diff.truncated = true;
      return;
    }
    diff.paths.push({
      path,
      ...(has.before && { before: shortened(textOf(a)) }),
      ...(has.after && { after: shortened(textOf(b)) }),
    });
  };

  const walk = (a: unknown, b: unknown, path: string, depth: number) => {
    if (diff.truncated || skipped.has(path) || Object.is(a, b)) return;
    const isWalkable = isTree(a) && isTree(b) && Array.isArray(a) === Array.isArray(b) && depth < MAX_DEPTH;
    if (!isWalkable) {
      if (textOf(a) !== textOf(b) || textOf(a) === TOO_DEEP) tell(path, { before: true, after: true }, a, b);
      return;
    }
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const below = `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const has = { before: Object.hasOwn(a, key), after: Object.hasOwn(b, key) };
      if (has.before && has.after) walk(a[key], b[key], below, depth + 1);
      else if (!skipped.has(below)) tell(below, has, a[key], b[key]);
    }
  };

  walk(before, after, '', 0);
  return diff;
}

/** What is nested more deeply than the stack allows is never told to be the same. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    return TOO_DEEP;
  }
}

const isTree = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

export function shortened(text: string): string {
  return text.length <= MAX_CHARS ? text : `${text.slice(0, MAX_CHARS)}…`;
}
