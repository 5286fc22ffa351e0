import { expect, test } from '@jest/globals';
import { statusLines } from '../../../src/cli/commands/status.js';
import { GatewayInMemory } from './gateway-in-memory.js';

test('status tells since when and why changes wait for single LFS objects, and only then', () => {
  const [bucket] = new GatewayInMemory().statuses();
  const lines = (changes: number, code = 'forbidden') =>
    statusLines(
      {
        ...{ version: '1', pid: 1, ready: true, problems: [] },
        buckets: [
          {
            ...bucket!,
            doubtful: changes === 0 ? undefined : { changes, code, message: 'answered 403', sinceMs: 0 },
          },
        ],
      },
      120_000,
    ).join('\n');
  expect(lines(0)).not.toContain('single LFS objects');
  expect(lines(1)).toContain(
    'bucket registry: 1 change waits for single LFS objects that Gitee does not take, the first since 2m 0s (forbidden: answered 403); the rest lands',
  );
  expect(lines(2)).toContain('2 changes wait for');
  expect(lines(1, 'being-cut-anew')).toContain(
    '1 change waits until their bytes are cut into chunks for Gitee',
  );
});

test('status tells since when a push is looked for that Gitee accepted', () => {
  const [bucket] = new GatewayInMemory().statuses();
  const lines = (unseen: { code: string; message: string; sinceMs: number } | undefined) =>
    statusLines(
      {
        ...{ version: '1', pid: 1, ready: true, problems: [] },
        buckets: [{ ...bucket!, unseen }],
      },
      12_000,
    ).join('\n');
  expect(lines({ code: 'push-not-seen', message: 'accepted', sinceMs: 0 })).toContain(
    'bucket registry: since 12s (push-not-seen): accepted; nothing is lost',
  );
  expect(lines(undefined)).not.toContain('push-not-seen');
});
