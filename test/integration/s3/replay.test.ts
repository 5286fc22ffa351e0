import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Replay } from '../../support/replay-registry-traffic.js';
import { startStack, type Stack } from '../../support/stack.js';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures/registry-traffic');

describe('recorded traffic of registry 2.7.1 against the whole gateway', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      config: {
        buckets: [
          {
            name: 'registry',
            repository: 'acme/images',
            branch: 'master',
            preset: 'registry',
            registry_root: 'registry',
          },
        ],
      },
    });
  });
  afterAll(() => stack.close());

  test('gets the recorded answers, scenario after scenario in one bucket', async () => {
    const { endpoint, accessKeyId, secretAccessKey } = stack.gateway;
    const replay = new Replay({
      endpoint,
      accessKeyId,
      secretAccessKey,
      region: 'us-east-1',
      bucket: 'registry',
      root: 'registry',
    });
    const { requests, differences } = await replay.folder(FIXTURES);
    expect(differences).toEqual([]);
    expect(requests).toBeGreaterThan(500);
  });

  test('leaves a clean check behind, and commits only where a tag was written', async () => {
    const fsck = await stack.gateway.cli('fsck', '--json');
    expect([fsck.code, fsck.stderr]).toEqual([0, '']);
    expect(await stack.commits('acme/images')).toBeGreaterThan(0);
  });
});
