import type { MinIsolation } from './isolation.ts';
import type { AsyncSettings } from './queue/settings.ts';
import { type WebhookAuth, webhookSecretForms } from './webhook.ts';

/** Unique in a gateway: it is the function's URL. */
export const EVENT_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** The languages a function can be written in. */
export const RUNTIMES = ['python', 'nodejs', 'bash'] as const;
export type Runtime = (typeof RUNTIMES)[number];

/** Who may call a function URL, in one word: bearers of a token that allows it, or everybody. */
export const AUTH_MODES = ['jwt', 'public'] as const;
export type AuthMode = (typeof AUTH_MODES)[number];
/** Who may call a function URL; a webhook is for those who can sign. */
export type EventAuth = AuthMode | WebhookAuth;

/** What one invocation may use. */
export interface EventLimits {
  timeoutMs: number;
  memoryMb: number;
  cpus: number;
}

/** What deploying an event writes down once and never changes: a new deploy is a new version. */
export interface EventVersion {
  version: number;
  runtime: Runtime;
  code: string;
  /** Hex SHA-256 of the UTF-8 code. */
  codeSha256: string;
  limits: EventLimits;
  /** What isolates it must be at least this; absent when anything will do that the gateway has. */
  minIsolation?: MinIsolation;
  env: Readonly<Record<string, string>>;
  /** Decrypted; never leaves the gateway except into a sandbox at hand-off. */
  secrets: Readonly<Record<string, string>>;
  createdAt: Date;
}

/** A version in a list of them: what it is without its code. */
export type EventVersionSummary = Omit<EventVersion, 'code'>;

/** A deployed function, with the version that its URL serves now. */
export interface Event {
  id: string;
  /** Unique in a gateway: it is the function's URL. */
  name: string;
  /** The `sub` of the token that deployed it. */
  ownerId: string;
  description: string;
  auth: EventAuth;
  enabled: boolean;
  /** What was set; the rest has its default: read it with `asyncOf`. */
  async?: Partial<AsyncSettings>;
  createdAt: Date;
  updatedAt: Date;
  current: EventVersion;
}

/** What a deploy asks for; limits that are left out take the gateway's defaults. */
export interface EventDraft {
  name: string;
  runtime: Runtime;
  code: string;
  description: string;
  auth: EventAuth;
  enabled: boolean;
  async?: Partial<AsyncSettings>;
  limits: EventLimits;
  minIsolation?: MinIsolation;
  env: Record<string, string>;
  secrets: Record<string, string>;
}

/** Everything that a function's logs and errors must not show. */
export function secretsOf({ auth, current }: Event): string[] {
  const own = Object.values(current.secrets);
  return typeof auth === 'string' ? own : [...own, ...webhookSecretForms(auth)];
}
