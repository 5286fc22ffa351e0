import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { noFailpoints } from '../../../src/async/failpoint.js';
import { LmdbChangeLogs } from '../../../src/journal/lmdb-change-logs.js';
import { changeLogContract } from '../../contract/change-log.js';

changeLogContract('Journal', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'change-log-'));
  let logs = LmdbChangeLogs.openAt(directory);
  return {
    open: async (bucket = 'bucket') => {
      await logs.close();
      logs = LmdbChangeLogs.openAt(directory);
      return logs.open(bucket, { clock: systemClock, failpoints: noFailpoints });
    },
    logs: () => logs,
    close: async () => {
      await logs.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
