/** What the power cut's negative control does to a disk; killed when it has said `done`. Argument: the directory. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { open } from 'lmdb';

const at = (...names) => path.join(process.argv[2], ...names);

function sync(file) {
  const fd = fs.openSync(file, 'r');
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

function writeSynced(file, text) {
  fs.writeFileSync(file, text);
  sync(file);
}

// Bytes
writeSynced(at('synced'), 'kept');
writeSynced(at('appended-after'), 'kept');
fs.appendFileSync(at('appended-after'), ' and lost');
writeSynced(at('patched'), 'kept.kept.');
fs.writeFileSync(at('named-only'), 'lost');
const dsync = fs.openSync(at('dsync'), fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_DSYNC);
const plain = fs.openSync(at('dsync'), 'r+');
fs.writeSync(plain, 'lost', 0);
fs.writeSync(dsync, 'kept', 4);

// Names
for (const name of ['a', 'b', 'c', 'd']) fs.mkdirSync(at(name));
for (const name of ['a/old', 'b/old', 'c/old', 'c/removed', 'd/old', 'd/removed'])
  writeSynced(at(name), name);
for (const name of ['a', 'b', 'c', 'd']) sync(at(name));
fs.renameSync(at('a/old'), at('a/new'));
fs.renameSync(at('b/old'), at('b/new'));
sync(at('b/new'));
fs.renameSync(at('c/old'), at('c/new'));
fs.unlinkSync(at('c/removed'));
sync(at('c'));
fs.renameSync(at('d/old'), at('d/new'));
fs.unlinkSync(at('d/removed'));
fs.mkdirSync(at('empty'));
fs.mkdirSync(at('deep/er'), { recursive: true });
writeSynced(at('deep/er/file'), 'kept');

// Directory entries of this moment, `empty` and `named-only` among them.
sync(at('.'));

// LMDB: what was flushed is there, by fdatasync and O_DSYNC, or by msync; what was only put is not.
for (const [name, options] of [
  ['lmdb', {}],
  ['lmdb-map', { useWritemap: true }],
  ['lmdb-named', {}],
]) {
  const db = open({ path: at(name), ...options });
  if (name === 'lmdb-named') [at(name), at('.')].forEach(sync);
  await db.put('flushed', 'kept');
  await db.flushed;
}
const unsynced = open({ path: at('lmdb-unsynced'), noSync: true });
await unsynced.put('put', 'lost');

// After the last sync of the directory.
fs.writeFileSync(at('never-synced'), 'x');
fs.unlinkSync(at('patched'));

const child = execFileSync('env', { encoding: 'utf8' });
const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
fs.writeFileSync(1, `${JSON.stringify({ childHasPreload: /^LD_PRELOAD=/m.test(child), boot })}\n`);
setInterval(() => {}, 1000);
