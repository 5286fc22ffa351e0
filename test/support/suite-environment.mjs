import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdtempSync } from 'node:fs';
import fs, { rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestEnvironment } from 'jest-environment-node';

// Where Jest was killed its workers would go on with their test files, and with all that these started. (A listener
// for 'disconnect' would keep a worker from its own end.)
if (process.connected) setInterval(() => process.connected || process.exit(1), 1000).unref();

// Jest 30 makes an AsyncLocalStorage for each test file and never disables it. Until Node 24 every promise of the process
// pays for each that was ever used: a worker became slower with each file, in the end by a factor of eight.
const stores = new Set();
const { run } = AsyncLocalStorage.prototype;
AsyncLocalStorage.prototype.run = function (...args) {
  stores.add(this);
  return run.apply(this, args);
};

// A file that nobody closes is closed by the garbage collector, which says so in whichever test file runs at that time;
// in a later release of Node it is an error.
const openFiles = new Map();
const { open } = fs;
fs.open = async (...args) => {
  const file = await open(...args);
  openFiles.set(file, String(args[0]));
  file.once('close', () => openFiles.delete(file));
  return file;
};
syncBuiltinESMExports();

/** Closes what the test file has left open. */
async function closeFiles() {
  const left = [...openFiles];
  openFiles.clear();
  for (const [file] of left) await file.close().catch(() => {});
  return left.map(([, path]) => path);
}

/**
 * Jest's environment for Node, with a directory for temporary files of each test file's own. Whatever the outcome,
 * nothing is left for the next one: suite-end.ts says what else has to be ended, and after a failed test put right.
 */
export default class SuiteEnvironment extends TestEnvironment {
  #outerTmpdir;
  #directory;

  constructor(config, context) {
    const outer = process.env.TMPDIR;
    // Short: sockets stand in it, whose whole path has 107 bytes.
    const directory = mkdtempSync(join(tmpdir(), 't-'));
    process.env.TMPDIR = directory;
    super(config, context);
    this.#outerTmpdir = outer;
    this.#directory = directory;
  }

  async handleTestEvent({ name, test }) {
    if (name === 'test_done' && test.errors.length > 0) await this.#run('after-failure');
  }

  async teardown() {
    await this.#run('suite-end');
    if (this.#outerTmpdir === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = this.#outerTmpdir;
    // What cannot be removed (a mount that hangs) is no failure of the tests.
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
    const leftOpen = await closeFiles();
    await super.teardown();
    for (const store of stores) store.disable();
    stores.clear();
    if (leftOpen.length > 0) throw new Error(`files that no test has closed: ${leftOpen.join(', ')}`);
  }

  async #run(when) {
    for (const step of this.global[Symbol.for(`gitee-s3.${when}`)] ?? [])
      await step().catch((error) => process.stderr.write(`${when}: ${error.stack}\n`));
  }
}
