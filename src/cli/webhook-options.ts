import type { Command } from 'commander';
import { WEBHOOK_SCHEMES } from '../core/webhook.ts';

export interface WebhookOptions {
  auth?: string;
  webhook?: string;
  webhookSecret: string[];
  webhookSet: Record<string, string | number>;
}

/** Options that make an event one that is called by who signs. */
export function withWebhookOptions(command: Command): Command {
  return command
    .option('--webhook <scheme>', `called by who signs as: ${WEBHOOK_SCHEMES.join(', ')}`)
    .option(
      '--webhook-secret <secret>',
      'what the sender signs with; may be given again (default: CRONIUM_WEBHOOK_SECRET, else those there are)',
      (secret: string, all: string[]) => [...all, secret],
      [],
    )
    .option(
      '--webhook-set <name=value>',
      'a setting of it, as respond=sync or header=X-Signature',
      collect,
      {},
    );
}

/** The `auth` that is asked for; `undefined` when none is. @throws Error for options that do not go together */
export function authOf(options: WebhookOptions): { auth: unknown; keepsSecrets: boolean } {
  const { auth, webhook, webhookSecret, webhookSet } = options;
  if (webhook === undefined) {
    if (webhookSecret.length > 0)
      throw new Error('--webhook-secret: say with --webhook how the sender signs.');
    if (Object.keys(webhookSet).length > 0)
      throw new Error('--webhook-set: say with --webhook how the sender signs.');
    return { auth, keepsSecrets: false };
  }
  if (auth !== undefined) throw new Error('--webhook: a webhook is called by who signs; leave --auth out.');
  const ofShell = process.env.CRONIUM_WEBHOOK_SECRET;
  const secrets = webhookSecret.length === 0 && ofShell ? [ofShell] : webhookSecret;
  const given = secrets.length > 0 ? { secrets } : {};
  return {
    auth: { type: 'webhook', scheme: webhook, ...webhookSet, ...given },
    keepsSecrets: secrets.length === 0,
  };
}

function collect(pair: string, all: Record<string, string | number>): Record<string, string | number> {
  const at = pair.indexOf('=');
  if (at < 1) throw new Error(`--webhook-set ${pair}: write it as name=value.`);
  const value = pair.slice(at + 1);
  return { ...all, [pair.slice(0, at)]: /Seconds$/.test(pair.slice(0, at)) ? Number(value) : value };
}
