import { expect, test } from 'vitest';
import { type LevelVerdict, levelTable } from '../../src/sandbox/level-table.ts';

test('the table tells of each way of isolating which levels it meets, and of the others why not', () => {
  const verdicts: LevelVerdict[] = [
    { isolation: 'docker+runsc', level: 'basic', met: true },
    { isolation: 'bubblewrap', level: 'basic', met: true },
    { isolation: 'docker+runsc', level: 'enhanced', met: true },
    { isolation: 'bubblewrap', level: 'enhanced', met: false, reason: 'no filter', remedy: 'Filter.' },
    { isolation: 'docker+runsc', level: 'paranoid', met: true },
    { isolation: 'podman', level: 'basic', met: false, reason: 'away', remedy: 'Start it.' },
    { isolation: 'podman', level: 'enhanced', met: false, reason: 'away', remedy: 'Start it.' },
    { isolation: 'bubblewrap', level: 'paranoid', met: false, reason: 'its kernel', remedy: 'Take gVisor.' },
  ];
  expect(levelTable(verdicts)).toBe(`level         basic     enhanced  paranoid
docker+runsc  met       met       met
bubblewrap    met       not met   not met
podman        not met   not met   not met
✘ bubblewrap at enhanced: no filter
    remedy: Filter.
✘ podman at basic, enhanced: away
    remedy: Start it.
✘ bubblewrap at paranoid: its kernel
    remedy: Take gVisor.
`);
});
