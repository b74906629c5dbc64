/** Where an engine listens. */
export type EnginePlace = { socketPath: string } | { host: string; port: number | undefined };

export const ENGINE_PLACES = 'unix:///path or tcp://host:port';

const SOCKET = /^unix:(?:\/\/)?(\/.+)$/;
const ADDRESS = /^(?:tcp|http):\/\/(\[[\da-f:.]+\]|[^\s/?#@:[\]]+)(?::(\d{1,5}))?\/?$/i;
const MAX_PORT = 65_535;

/** What a URL as in `DOCKER_HOST` names; `undefined` when it is none, or of another kind (`ssh://`, `npipe://`). */
export function enginePlaceOf(url: string): EnginePlace | undefined {
  const socketPath = SOCKET.exec(url)?.[1];
  if (socketPath !== undefined) return { socketPath };
  const [, host, port] = ADDRESS.exec(url) ?? [];
  if (host === undefined || Number(port ?? 1) > MAX_PORT || Number(port ?? 1) === 0) return undefined;
  return { host, port: port === undefined ? undefined : Number(port) };
}
