import { sandboxContract } from '../contract/sandbox.ts';
import { onEngine } from '../on-engine.ts';

await onEngine('bubblewrap with control groups', sandboxContract);
await onEngine('bubblewrap with the resource manager', sandboxContract);
