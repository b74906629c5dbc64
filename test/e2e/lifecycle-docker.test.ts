import { describe } from 'vitest';
import { onEngine } from '../on-engine.ts';
import { crashSuite } from './crash.ts';
import { shutdownSuite } from './shutdown.ts';

await onEngine('docker', (engine) => {
  describe('shutting down', () => shutdownSuite(engine));
  describe('crashing', () => crashSuite(engine));
});
