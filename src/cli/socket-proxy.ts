import { Command } from 'commander';
import { configOfShell } from './config.ts';

const DEFAULT_ENGINE = 'unix:///var/run/docker.sock';

export function socketProxyCommand(): Command {
  return new Command('socket-proxy')
    .description('stand between a gateway and the Docker socket, and let nothing through but what it needs')
    .requiredOption('--listen <url>', 'the socket for the gateway: unix:///path')
    .option('--engine <url>', `the engine’s socket (default: DOCKER_HOST, else ${DEFAULT_ENGINE})`)
    .action(serve);
}

async function serve(options: { listen: string; engine?: string }): Promise<void> {
  const [{ SocketProxy }, { ownImages }, { baseImages, RUNTIMES_DIR }] = await Promise.all([
    import('../socket-proxy/server.ts'),
    import('../socket-proxy/own-images.ts'),
    import('../engine-config.ts'),
  ]);
  const config = configOfShell();
  const listen = pathOf('--listen', options.listen);
  const engine = pathOf('--engine', options.engine ?? config.DOCKER_HOST ?? DEFAULT_ENGINE);
  const proxy = await SocketProxy.listen({
    listen,
    engine,
    images: await ownImages(RUNTIMES_DIR, baseImages(config)),
    appArmorProfile: config.APPARMOR_PROFILE,
    onDenied: (reason) => process.stderr.write(`cronium: denied: ${reason}\n`),
  });
  process.stderr.write(`cronium: the gateway's part of ${engine} is at ${listen}\n`);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.resolve());
  await stopped.promise;
  await proxy[Symbol.asyncDispose]();
}

function pathOf(option: string, url: string): string {
  const path = /^unix:\/\/(\/.+)$/.exec(url)?.[1];
  if (path === undefined)
    throw new Error(`${option} ${url}: write it as unix:///path; there is no other way.`);
  return path;
}
