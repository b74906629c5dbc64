import { Command } from 'commander';
import type { Config } from '../config.ts';
import { createLog } from '../logger.ts';
import { type Gateway, startGateway } from '../main.ts';
import { ALL_SCOPES, LOCAL_USER, mintToken } from './access.ts';
import { configOfShell } from './config.ts';
import { deployDemo } from './demo.ts';

const DEMO_TOKEN_TTL_SECONDS = 86_400;

export function serveCommand(): Command {
  return new Command('serve')
    .description('run the gateway')
    .option('--demo', 'deploy an event in each language and print how to call them')
    .action(serve);
}

async function serve({ demo }: { demo?: boolean }): Promise<void> {
  const config = configOfShell(demo && !process.env.LOG_LEVEL ? { LOG_LEVEL: 'warn' } : {});
  const log = createLog(config.LOG_LEVEL);
  const stop = Promise.withResolvers<NodeJS.Signals>();
  // Before anything is built, so that a signal during a long first start does not leave half of it behind.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop.resolve(signal);
      // Whoever asks twice does not want to wait for running calls.
      process.once(signal, () => process.exit(130));
    });
  }
  const gateway = await startGateway({ config, log, onProgress: say });
  log.info({ url: gateway.url, isolation: gateway.isolation }, 'serving');
  if (demo) await Promise.race([introduce(gateway, config), stop.promise]);
  const signal = await stop.promise;
  log.info({ signal }, 'stopping');
  if (demo) say('stopping');
  await gateway.close();
}

async function introduce(gateway: Gateway, config: Config): Promise<void> {
  say(`isolation: ${gateway.isolation}`);
  await deployDemo(gateway.events, LOCAL_USER, config);
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
