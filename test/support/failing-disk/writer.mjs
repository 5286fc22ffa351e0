/**
 * Commits to a store until its standard input ends, or until it may not any more: prints a line per acknowledged key.
 * `writer.mjs DIRECTORY PREFIX [overlapping] [commitMaxMs]`: `overlapping` writes as versions up to 1.0 did.
 */
import { open } from 'lmdb';
import { writeSync } from 'node:fs';

const [, , directory, prefix, mode = 'now', commitMaxMs = '120000'] = process.argv;
const say = (line) => writeSync(1, `${line}\n`);

async function storeOfNow() {
  const { LmdbStore } = await import(`${process.cwd()}/dist/index/lmdb-store.js`);
  const store = LmdbStore.open(directory, {
    onFailed: () => {
      say('! failed');
      // Others that were under way must not be told of as if nothing had happened.
      setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    },
    commitMaxMs: Number(commitMaxMs),
  });
  return (writes) => store.commit([], writes);
}

function storeOfOldVersions() {
  const db = open({
    ...{ path: directory, noSubdir: false, keyEncoding: 'binary', encoding: 'binary', cache: false },
  });
  process.on('unhandledRejection', () => process.kill(process.pid, 'SIGKILL'));
  return async (writes) => {
    say(`? ${writes[0].key}`);
    await db.transaction(() => {
      for (const { key, value } of writes) void db.put(key, value);
    });
    await db.flushed;
  };
}

const commit = mode === 'overlapping' ? storeOfOldVersions() : await storeOfNow();
let count = 0;
await Promise.all(
  (mode === 'overlapping' ? [0] : [0, 1, 2]).map(async () => {
    for (;;) {
      // All over the tree, so that pages that were lost are not just written again by what comes next.
      const key = prefix[count % prefix.length] + String((count * 7919) % 100_003).padStart(6, '0');
      count += 1;
      const value = Buffer.from(`${key}-${'v'.repeat((count * 37) % 600)}`);
      try {
        await commit([
          { key: Buffer.from(key), value },
          { key: Buffer.from('count'), value: Buffer.from(String(count)) },
        ]);
        say(key);
      } catch (error) {
        say(`! ${error.code ?? error.message}`);
        return;
      }
    }
  }),
);
