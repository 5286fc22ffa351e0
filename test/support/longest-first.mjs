import TestSequencer from '@jest/test-sequencer';

/** Files that wait for clocks and starting programs more than others, so that no worker ends up alone with one. */
const LONG = [
  'faults/kill',
  'faults/matrix',
  'faults/head-of-line',
  'faults/power-cut',
  'integration/gitee/git-head-remote',
  'integration/s3/stalled-clients',
  'faults/poison',
  'integration/server/gitee-away',
  'integration/deploy/nginx-backpressure',
  'faults/forgetful-store',
  'faults/bucket-kill',
  'integration/format/restore-hostile',
  'faults/barrier',
  'integration/deploy/compose',
  'integration/deploy/clients',
  'integration/deploy/monitoring',
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
