import { sandboxContract } from '../contract/sandbox.ts';
import { ORDINARY_UID } from '../engines.ts';
import { onEngine } from '../on-engine.ts';
import { bubblewrapView } from './bubblewrap-view.ts';

await onEngine('bubblewrap as an ordinary user', (engine) => {
  // For good: every test file has a process of its own.
  if (engine.unavailable === undefined && process.getuid?.() === 0) {
    process.setgroups?.([]);
    process.setgid?.(ORDINARY_UID);
    process.setuid?.(ORDINARY_UID);
  }
  sandboxContract(engine);
  bubblewrapView(engine);
});
