// Loaded before the gateway in its container: says what to set when the Docker socket that is mounted cannot be used.
// Plain JavaScript, because it runs before the cache of compiled code is in use.
import { accessSync, constants, statSync } from 'node:fs';

const path = /^unix:\/\/(\/.+)$/.exec(process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock')?.[1];
const problem = path === undefined ? undefined : problemWith(path);
if (problem !== undefined) {
  process.stderr.write(`cronium: ${problem}\n`);
  process.exit(1);
}

/** @param {string} socket */
function problemWith(socket) {
  const found = statSync(socket, { throwIfNoEntry: false });
  // The engine makes a folder of a path to mount that is not there.
  if (!found?.isSocket()) {
    return `there is no Docker socket at ${socket}. Set DOCKER_SOCKET in .env to where it is on the engine's host, then: docker compose up -d`;
  }
  try {
    accessSync(socket, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    if (error.code !== 'EACCES') return `${socket} cannot be used: ${error.message}`;
  }
  return [
    `the Docker socket belongs to group ${found.gid}, which the gateway is not in (EACCES). Set DOCKER_GID and start again:`,
    `  echo DOCKER_GID=${found.gid} >> .env`,
    '  docker compose up -d',
    'This shows the number too, on every kind of Docker:',
    `  docker compose run --rm --no-deps gateway stat -c %g ${socket}`,
  ].join('\n');
}
