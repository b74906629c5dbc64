/** A call of the Docker Engine API; `{id}` is a container's id or name, `{image}` an image's. */
export interface EngineCall {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** The query's parameters; no other may be sent. */
  query: readonly string[];
  /** What the gateway does with it. */
  for: string;
}

/** All that the gateway asks of an engine, and nothing else: docs/socket-proxy.md shows it. Paths have no API version. */
export const ENGINE_CALLS = [
  { method: 'GET', path: '/info', query: [], for: 'which runtimes and limits the engine has' },
  { method: 'GET', path: '/version', query: [], for: 'whether it is Docker or Podman' },
  { method: 'GET', path: '/images/{image}/json', query: [], for: 'whether a sandbox image is there' },
  {
    method: 'POST',
    path: '/build',
    query: ['t', 'dockerfile', 'buildargs', 'labels', 'rm', 'forcerm'],
    for: 'to build the sandbox images',
  },
  { method: 'POST', path: '/containers/create', query: ['name'], for: 'to create a sandbox' },
  {
    method: 'POST',
    path: '/containers/{id}/attach',
    query: ['stream', 'stdin', 'stdout', 'stderr'],
    for: 'to talk to the agent in it',
  },
  { method: 'POST', path: '/containers/{id}/start', query: [], for: 'to start it' },
  {
    method: 'GET',
    path: '/containers/{id}/json',
    query: [],
    for: 'whether it ran out of memory, when it has failed',
  },
  { method: 'DELETE', path: '/containers/{id}', query: ['force', 'v'], for: 'to remove it' },
  {
    method: 'GET',
    path: '/containers/json',
    query: ['all', 'filters'],
    for: 'to find what a gateway that was killed has left',
  },
] as const satisfies readonly EngineCall[];

export type EngineCallPath = (typeof ENGINE_CALLS)[number]['path'];

/** A request that is one of the calls. */
export interface MatchedCall {
  method: EngineCall['method'];
  call: EngineCallPath;
  /** What stands for `{id}` or `{image}`; empty where there is neither. */
  name: string;
  query: URLSearchParams;
}

/** Nothing that an engine could read in another way: no escapes, no slashes. */
const PATTERNS = new Map(
  ENGINE_CALLS.map(({ path }) => {
    const pattern = path.replace(/\{\w+\}/, '([a-zA-Z0-9][a-zA-Z0-9_.:-]{0,254})').replaceAll('/', '\\/');
    return [path, new RegExp(`^${pattern}$`)] as const;
  }),
);

/**
 * Finds the call that a request is.
 * @param target as it stands in the request line
 * @returns why it is none, as text
 */
export function matchCall(
  calls: readonly (EngineCall & { path: EngineCallPath })[],
  method: string,
  target: string,
): MatchedCall | string {
  const [path = '', search = '', ...rest] = target.split('?');
  const found = calls.find((call) => call.method === method && PATTERNS.get(call.path)!.test(path));
  if (found === undefined || rest.length > 0) return `${method} ${path} is not one of the gateway's calls`;
  const query = new URLSearchParams(search);
  const names = [...query.keys()];
  const foreign = names.find((name, at) => !found.query.includes(name) || names.indexOf(name) !== at);
  if (foreign !== undefined) return `the parameter ${foreign} is not one of ${method} ${found.path}`;
  const name = PATTERNS.get(found.path)!.exec(path)?.[1] ?? '';
  return { method: found.method, call: found.path, name, query };
}
