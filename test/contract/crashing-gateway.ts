import type { EngineName } from '../engines.ts';
import { findEngine } from '../engines.ts';
import { smallSpec } from './calls.ts';

/** A gateway that makes two sandboxes and waits to be killed: `node crashing-gateway.ts ENGINE INSTANCE_ID`. */
const [name, instanceId] = process.argv.slice(2);
const engine = await findEngine(name as EngineName);
const { backend } = await engine.open(instanceId);
const never = new AbortController().signal;
await Promise.all([backend.create(smallSpec('bash'), never), backend.create(smallSpec('python'), never)]);
process.stdout.write('ready\n');
setInterval(() => {}, 1_000);
