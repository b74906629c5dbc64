import { expect, test } from 'vitest';
import { isAtLeast, type Kernel, MIN_ISOLATIONS, meets, SECURITY_LEVELS } from '../../src/core/isolation.ts';

test('levels are in order, each at least itself and those below', () => {
  const met = SECURITY_LEVELS.map((level) => SECURITY_LEVELS.filter((wanted) => isAtLeast(level, wanted)));
  expect(met).toEqual([['basic'], ['basic', 'enhanced'], ['basic', 'enhanced', 'paranoid']]);
});

test.each<[Kernel, string[]]>([
  ['host', ['basic', 'enhanced']],
  ['gvisor', ['basic', 'enhanced', 'gvisor']],
  ['own', ['basic', 'enhanced', 'gvisor']],
])('enhanced on the kernel %s meets %j', (kernel, met) => {
  expect(MIN_ISOLATIONS.filter((wanted) => meets({ kernel, level: 'enhanced' }, wanted))).toEqual(met);
});

test('a kernel of its own is no level', () => {
  expect(meets({ kernel: 'gvisor', level: 'basic' }, 'enhanced')).toBe(false);
  expect(meets({ kernel: 'host', level: 'basic' }, undefined)).toBe(true);
});
