import TestSequencer from '@jest/test-sequencer';

/** Files that wait for clocks and starting programs more than others, so that no worker ends up alone with one. */
const LONG = [
  'faults/power-cut',
  'faults/kill',
  'faults/poison',
  'integration/server/gitee-away',
  'integration/format/restore-hostile',
  'faults/barrier',
  'faults/matrix',
  'faults/forgetful-store',
  'integration/gitee/git-head-remote',
  'integration/deploy/nginx-backpressure',
  'integration/deploy/compose',
  'integration/deploy/clients',
  'integration/deploy/monitoring',
  'faults/head-of-line',
  'integration/s3/stalled-clients',
  'integration/gitee/git-contract',
  'integration/server/nginx-timeouts',
  'faults',
  'integration/s3/slow-line',
  'integration/docs',
  'integration/deploy',
  'integration/gitee',
  'integration/registry',
  'integration/server',
  'integration/s3/model',
  'integration/s3/rebuild',
  'integration/s3/create-bucket',
  'integration/s3/delete-bucket',
  'integration/s3/replay',
  'integration/s3/list-parts',
  'integration/tools',
  'integration/auth',
];

/** Starts the long files first: on a new machine Jest knows no times of earlier runs. */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const found = LONG.findIndex((part) => path.includes(`/test/${part}`));
      return found < 0 ? LONG.length : found;
    };
    return [...tests].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
  }
}
