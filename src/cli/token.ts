import { Command } from 'commander';
import { ALL_SCOPES, mintToken, parseTtl } from './access.ts';
import { configWithoutEngines } from './config.ts';

export function tokenCommand(): Command {
  return new Command('token')
    .description('print a token that this gateway accepts')
    .requiredOption('--sub <user>', 'whose token it is')
    .option('--scope <scopes>', `what it allows, separated by spaces; also event:<name>:invoke`, ALL_SCOPES)
    .option('--ttl <duration>', 'how long it is good for: 90s, 15m, 1h, 30d', '1h')
    .option('--tier <tier>', 'the tier of the user')
    .addHelpText(
      'after',
      '\nThe token is all that is printed. npm adds lines of its own, which -s keeps away:\n' +
        "  TOKEN=$(npm run -s token -- --sub alice --scope 'events:invoke' --ttl 1h)",
    )
    .action(async ({ sub, scope, ttl, tier }: { sub: string; scope: string; ttl: string; tier?: string }) => {
      const ttlSeconds = parseTtl(ttl);
      process.stdout.write(`${await mintToken(configWithoutEngines(), { sub, scope, ttlSeconds, tier })}\n`);
    });
}
