import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Replay } from '../../support/replay-registry-traffic.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures/registry-traffic');

describe('recorded traffic of registry 2.7.1', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
    app.objects.rules = { ...app.objects.rules, preset: 'registry', registryRoot: 'registry/' };
  });
  afterAll(() => app.close());

  test('gets the recorded answers, scenario after scenario in one bucket', async () => {
    const replay = new Replay({ ...app.target, bucket: 'images', root: 'registry' });
    const { requests, differences } = await replay.folder(FIXTURES);
    expect(differences).toEqual([]);
    expect(requests).toBeGreaterThan(500);
  });
});
