import { constants } from 'node:os';
import { Command } from 'commander';
import type { Config } from '../config.ts';
import type { Gateway, GatewayOptions } from '../main.ts';
import { ALL_SCOPES, LOCAL_USER, mintToken } from './access.ts';
import { configOfShell } from './config.ts';
import { deployDemo } from './demo.ts';

const DEMO_TOKEN_TTL_SECONDS = 86_400;
const PARENT_POLL_MS = 200;
/** A terminal, and what stops a whole group, signal this process and also those that hand the signal on to it. */
const SAME_REQUEST_MS = 500;

export function serveCommand(): Command {
  return new Command('serve')
    .description('run the gateway')
    .option('--demo', 'deploy an event in each language and print how to call them')
    .action(serve);
}

async function serve({ demo }: { demo?: boolean }): Promise<void> {
  const config = configOfShell(demo ? { LOG_LEVEL: 'warn' } : {});
  const { createLog } = await import('../logger.ts');
  const log = createLog(config.LOG_LEVEL);
  // Before anything is built, so that a signal during a long first start does not leave half of it behind.
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  let askedAt = 0;
  const stopFor = (reason: string) => {
    askedAt = performance.now();
    log.info({ reason }, 'stopping');
    if (demo) say('stopping');
    stop.abort(new Error(`${reason} came before the gateway served`));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) stopFor(signal);
      // Whoever asks twice does not want to wait for running calls.
      else if (performance.now() - askedAt > SAME_REQUEST_MS) process.exit(128 + constants.signals[signal]);
    });
  }
  if (process.env.npm_lifecycle_event !== undefined) {
    watchParent(() => stop.signal.aborted || stopFor('the end of npm'));
  }
  const gateway = await start({ config, log, onProgress: say, signal: stop.signal });
  log.info({ url: gateway.url, isolation: gateway.isolation }, 'serving');
  if (demo) await Promise.race([introduce(gateway, config), stopped]);
  await stopped;
  await gateway.close();
}

/** npm hands SIGTERM on to the shell that it runs a script with, and no shell hands it on to its command. */
function watchParent(onGone: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, PARENT_POLL_MS).unref();
}

async function start(options: GatewayOptions & { signal: AbortSignal }): Promise<Gateway> {
  // Here and not above: the other commands start in half the time without all that a gateway is made of.
  const { startGateway } = await import('../main.ts');
  try {
    return await startGateway(options);
  } catch (error) {
    // Nobody waits for it any more, and a build under way in an engine ends with its connection to this process.
    if (options.signal.aborted) process.exit(0);
    throw error;
  }
}

async function introduce(gateway: Gateway, config: Config): Promise<void> {
  say(`isolation: ${gateway.isolation}`);
  await deployDemo(gateway, LOCAL_USER, config);
  say('warming the pools');
  await gateway.whenReady();
  const base = config.PUBLIC_URL?.replace(/\/+$/, '') ?? gateway.url;
  const lines = [`serving at ${base}; stop with Ctrl-C`];
  if (gateway.jwtSecret === undefined) {
    lines.push(
      'The demo events need a token of your issuer (JWT_JWKS_URL), with scope event:hello-python:invoke.',
    );
  } else {
    const token = await mintToken(
      { ...config, JWT_SECRET: gateway.jwtSecret },
      { sub: LOCAL_USER, scope: ALL_SCOPES, ttlSeconds: DEMO_TOKEN_TTL_SECONDS },
    );
    const bearer = `-H 'Authorization: Bearer ${token}'`;
    lines.push(
      'Try it from another terminal (the token is good for a day):',
      '',
      `curl -i ${bearer} '${base}/e/hello-python?name=Ada'`,
      '',
      `curl -i ${bearer} '${base}/e/hello-node?name=Ada'`,
      '',
      `curl -i ${bearer} --data 'good morning' '${base}/e/hello-bash'`,
      '',
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

function say(line: string): void {
  process.stderr.write(`cronium: ${line}\n`);
}
