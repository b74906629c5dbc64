/** Where an invocation comes from. Only the first is not durable: its caller waits for it on the connection. */
export const TRIGGERS = ['http', 'async', 'webhook', 'schedule', 'destination', 'replay'] as const;
export type Trigger = (typeof TRIGGERS)[number];
