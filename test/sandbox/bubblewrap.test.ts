import { sandboxContract } from '../contract/sandbox.ts';
import { onEngine } from '../on-engine.ts';
import { bubblewrapView } from './bubblewrap-view.ts';

await onEngine('bubblewrap with control groups', (engine) => {
  sandboxContract(engine);
  bubblewrapView(engine);
});
await onEngine('bubblewrap with the resource manager', (engine) => {
  sandboxContract(engine);
  bubblewrapView(engine);
});
