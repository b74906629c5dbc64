import { Command } from 'commander';
import pkg from '../../package.json' with { type: 'json' };
import { messageOf } from '../errors.ts';
import { aliasCommand } from './alias.ts';
import { auditCommand } from './audit.ts';
import { deployCommand } from './deploy.ts';
import { doctorCommand } from './doctor.ts';
import { invokeCommand } from './invoke.ts';
import { logsCommand } from './logs.ts';
import { receiptCommand } from './receipt.ts';
import { diffCommand, replayCommand } from './replay.ts';
import { scheduleCommand } from './schedule.ts';
import { serveCommand } from './serve.ts';
import { socketProxyCommand } from './socket-proxy.ts';
import { tokenCommand } from './token.ts';
import { variableCommand } from './variable.ts';

const program = new Command('cronium')
  .description('Self-hosted function gateway: every call in a warm, single-use sandbox.')
  .version(pkg.version)
  // `--version` after a command is the command’s.
  .enablePositionalOptions()
  .addCommand(serveCommand())
  .addCommand(deployCommand())
  .addCommand(invokeCommand())
  .addCommand(logsCommand())
  .addCommand(aliasCommand())
  .addCommand(scheduleCommand())
  .addCommand(variableCommand())
  .addCommand(replayCommand())
  .addCommand(diffCommand())
  .addCommand(tokenCommand())
  .addCommand(auditCommand())
  .addCommand(receiptCommand())
  .addCommand(socketProxyCommand())
  .addCommand(doctorCommand());

// Whoever reads may stop before the end, as `head` does; a gateway goes on without its reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  // Whoever reads this made a mistake or has a fault on the machine: the message says which, a stack would hide it.
  process.stderr.write(`cronium: ${messageOf(error)}\n`);
  if (process.env.LOG_LEVEL === 'debug' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}
