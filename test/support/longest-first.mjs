import TestSequencer from '@jest/test-sequencer';

/** Files that wait for clocks and starting programs more than others, so that no worker ends up alone with one. */
const LONG = [
  'integration/gitee/git-contract',
  'faults/kill',
  'faults/barrier',
  'integration/deploy/nginx-backpressure',
  'integration/s3/stalled-clients',
  'integration/server/gitee-away',
  'integration/deploy/compose',
  'integration/s3/size-edges',
  'integration/gitee/git-head-remote',
  'faults',
  'integration/server/nginx-timeouts',
  'integration/s3/delete-bucket',
  'integration/format',
  'integration/deploy',
  'integration/gitee',
  'integration/registry',
  'integration/server',
  'integration/s3/slow-line',
  'integration/s3/model',
  'integration/s3/rebuild',
  'integration/s3/create-bucket',
  'integration/s3/replay',
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
