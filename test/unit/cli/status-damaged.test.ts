import { expect, test } from '@jest/globals';
import { statusLines } from '../../../src/cli/commands/status.js';
import { GatewayInMemory } from './gateway-in-memory.js';

test('status tells of objects that are damaged in the repository, and only then', () => {
  const [bucket] = new GatewayInMemory().statuses();
  const lines = (damagedObjects: number) =>
    statusLines(
      {
        version: '1',
        pid: 1,
        ready: true,
        problems: [],
        buckets: [{ ...bucket!, damagedObjects }],
      },
      0,
    ).join('\n');
  expect(lines(0)).not.toContain('damaged');
  expect(lines(1)).toContain('bucket registry: 1 object is damaged in the repository and not shown');
  expect(lines(2)).toContain('2 objects are damaged');
});
