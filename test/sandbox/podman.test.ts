import { sandboxContract } from '../contract/sandbox.ts';
import { onEngine } from '../on-engine.ts';

await onEngine('podman', (engine) => {
  sandboxContract(engine);
});
