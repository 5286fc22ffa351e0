/**
 * Looks for what must never be: the library behind `fsck`, and what crash tests run after every kill. Named steps
 * that return figures and problems; nothing is changed, unless chunks that Gitee lost are to be sent again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Semaphore } from '../async/semaphore.js';
import type { ChunksApi } from '../chunks/api.js';
import { isWholeChunk, type Chunk } from '../format/extent.js';
import type { LayoutRules } from '../format/tree-layout.js';
import { RemoteError } from '../gitee/errors.js';
import type { ChunkRemote, HeadRemote } from '../gitee/remote.js';
import { changesBetween } from '../index/apply-diff.js';
import { utf8 } from '../index/key-bytes.js';
import { KeyIndex } from '../index/key-index.js';
import { StorageError } from '../index/errors.js';
import { openStore } from '../index/open-store.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import { fillBase } from '../index/rebuild.js';
import type { BaseHolder } from './base-holder.js';
import { unnamedBodies, type UnnamedBodies } from '../index/unnamed-bodies.js';
import type { ChangeLog } from './change-log.js';

export interface CheckStep {
  readonly name: string;
  readonly figures: Readonly<Record<string, number>>;
  /** At most 100, in words for an operator. */
  readonly problems: readonly string[];
}

export interface CheckOptions {
  /** Read the tree of the head again and compare every object. */
  readonly deep?: boolean;
  /** Ask the remote for every committed chunk; left out where it is down. */
  readonly chunkRemote?: Pick<ChunkRemote, 'missing'>;
  /** Send again what Gitee lacks and is here. */
  readonly repair?: boolean;
  readonly signal?: AbortSignal;
}

export interface CheckDeps {
  readonly journal: ChangeLog;
  readonly chunks: Pick<ChunksApi, 'hasCopy' | 'ensureRemote'>;
  readonly bases: BaseHolder;
  readonly remote: HeadRemote;
  readonly rules: LayoutRules;
  readonly headLock: Semaphore;
  readonly clock: Clock;
  readonly log: Log;
}

const PROBLEMS_MAX = 100;
const CHUNKS_ASKED_AT_ONCE = 1000;

/** Runs all steps that the options ask for. Safe on a running bucket. */
export async function checkBucket(deps: CheckDeps, options: CheckOptions = {}): Promise<CheckStep[]> {
  const steps = [await checkJournal(deps.journal), await checkBase(deps.bases.current)];
  steps.push(rowsStep('overlay-rows', await deps.journal.unnamedBodies()));
  const base = deps.bases.current;
  steps.push(rowsStep('base-rows', await unnamedBodies(base, records(base))));
  if (options.chunkRemote) steps.push(await checkChunks(deps, base, options.chunkRemote, options));
  if (options.deep) steps.push(await checkTree(deps));
  return steps;
}

class Findings {
  readonly figures: Record<string, number> = {};
  readonly problems: string[] = [];

  count(name: string, n = 1): void {
    this.figures[name] = (this.figures[name] ?? 0) + n;
  }

  problem(text: string): void {
    this.count('problems');
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(text);
  }

  step(name: string): CheckStep {
    return { name, figures: { problems: 0, ...this.figures }, problems: this.problems };
  }
}

/** Journal and newest rows must tell the same story. */
async function checkJournal(journal: ChangeLog): Promise<CheckStep> {
  const found = new Findings();
  for await (const entry of journal.entries(Number.MAX_SAFE_INTEGER)) {
    found.count('pending');
    const newest = await journal.newest(entry.key);
    if ((!newest || newest.seq < entry.seq) && (await journal.entry(entry.seq)))
      found.problem(`change ${entry.seq} of ${entry.key} is pending, but readers do not see it`);
    if (entry.record) await checkBody(found, journal, entry.key, entry.record);
  }
  for await (const { key, row } of journal.newestRows()) {
    found.count(row.state);
    if (row.record) await checkBody(found, journal, key, row.record);
    if (row.state !== 'pending' || (await journal.entry(row.seq))) continue;
    // It may have landed between the two reads.
    if ((await journal.newest(key))?.seq === row.seq)
      found.problem(`${key} shows change ${row.seq}, which no longer waits for a commit`);
  }
  for await (const row of journal.quarantinedRows()) {
    found.count('set-aside');
    const newest = await journal.newest(row.key);
    if (row.shown && newest?.state !== 'quarantined')
      found.problem(`${row.key} has a refused change that readers should see and do not`);
  }
  return found.step('journal');
}

/** Every object of the base must be of whole chunks and be as long as it says. */
async function checkBase(base: KeyIndex): Promise<CheckStep> {
  const found = new Findings();
  for await (const { key, record } of base.all()) {
    found.count('objects');
    await checkBody(found, base, key, record, true);
  }
  const objects = found.figures['objects'] ?? 0;
  if (objects !== base.count) found.count('counted-otherwise');
  return found.step('base');
}

async function checkBody(
  found: Findings,
  owner: Pick<ChangeLog, 'openBody'>,
  key: string,
  record: ObjectRecord,
  onlyWhole = false,
): Promise<void> {
  try {
    const body = await owner.openBody(record);
    let sizeBytes = body.kind === 'plain' ? body.bytes.length : 0;
    if (body.kind === 'extents')
      for await (const extent of body.list.range(0, record.sizeBytes)) {
        sizeBytes += extent.lengthBytes;
        if (onlyWhole && !isWholeChunk(extent)) found.problem(`${key} was committed with a part of a chunk`);
      }
    if (sizeBytes !== record.sizeBytes)
      found.problem(`${key} has ${record.sizeBytes} bytes and a body of ${sizeBytes}`);
  } catch (error) {
    found.problem(`${key} cannot be read: ${String(error)}`);
  }
}

function rowsStep(name: string, { figures, problems }: UnnamedBodies): CheckStep {
  const found = new Findings();
  for (const [figure, n] of Object.entries(figures)) found.count(figure, n);
  for (const problem of problems) found.problem(problem);
  return found.step(name);
}

async function* records(base: KeyIndex): AsyncGenerator<ObjectRecord> {
  for await (const { record } of base.all()) yield record;
}

/** Invariant 2: no commit names a chunk that is not on Gitee. */
async function checkChunks(
  { chunks }: CheckDeps,
  base: KeyIndex,
  remote: Pick<ChunkRemote, 'missing'>,
  { repair = false, signal }: CheckOptions,
): Promise<CheckStep> {
  const found = new Findings();
  let asked = new Map<string, { chunk: Chunk; key: string }>();
  const flush = async () => {
    let missing = await remote.missing(
      [...asked.values()].map(({ chunk }) => chunk),
      signal,
    );
    const here = missing.filter((chunk) => chunks.hasCopy(chunk));
    if (repair && here.length > 0) {
      const lost = missing.length;
      const failed = await sendAgain(chunks, here, signal);
      if (failed) found.problem(`not everything that Gitee lacks could be sent again: ${failed.message}`);
      missing = await remote.missing(missing, signal);
      found.count('repaired', lost - missing.length);
    }
    for (const chunk of missing) {
      const what = `chunk ${chunk.oid} of ${asked.get(chunk.oid)?.key} is not on Gitee`;
      found.problem(
        !chunks.hasCopy(chunk)
          ? `${what}, and no copy is here: somebody has to push it again`
          : repair
            ? what
            : `${what}, but a copy is here: fsck --repair sends it`,
      );
    }
    found.count('chunks', asked.size);
    asked = new Map();
  };
  for await (const { key, record } of base.all()) {
    if (record.body.kind === 'plain') continue;
    const body = await base.openBody(record);
    if (body.kind === 'plain') continue;
    for await (const extent of body.list.range(0, record.sizeBytes)) {
      const { oid, chunkLengthBytes: sizeBytes, volume } = extent;
      asked.set(oid, { chunk: { oid, sizeBytes, volume }, key });
      if (asked.size >= CHUNKS_ASKED_AT_ONCE) await flush();
    }
  }
  if (asked.size > 0) await flush();
  return found.step('chunks-on-gitee');
}

async function sendAgain(
  chunks: CheckDeps['chunks'],
  lost: readonly Chunk[],
  signal: AbortSignal | undefined,
): Promise<RemoteError | undefined> {
  try {
    await chunks.ensureRemote(lost, signal);
    return undefined;
  } catch (error) {
    if (error instanceof RemoteError) return error;
    throw error;
  }
}

/** Reads the head's tree into a second base and compares the two, key by key. */
async function checkTree(deps: CheckDeps): Promise<CheckStep> {
  const { bases, clock, headLock, log, remote, rules } = deps;
  const found = new Findings();
  const directory = await mkdtemp(join(tmpdir(), 'gateway-check-'));
  const second = await KeyIndex.open(openStore(directory), clock);
  try {
    const head = bases.current.marker?.head ?? null;
    const source = { remote, rules, log };
    await fillBase({ ...source, onProgress: () => {} }, second, { head, landedSeq: 0 });
    await headLock.run(async () => {
      const now = bases.current.marker?.head ?? null;
      const known = async function* () {};
      if (now !== head && now !== null)
        await second.apply(changesBetween({ ...source, known }, head, now), { head: now, landedSeq: 0 });
      await compare(found, bases.current, second);
    });
  } finally {
    await second.close();
    await rm(directory, { recursive: true, force: true });
  }
  return found.step('tree');
}

async function compare(found: Findings, base: KeyIndex, tree: KeyIndex): Promise<void> {
  const ours = base.all();
  const theirs = tree.all();
  let a = await nextOf(ours);
  let b = await nextOf(theirs);
  while (a || b) {
    const order = !a ? 1 : !b ? -1 : Buffer.compare(utf8(a.key), utf8(b.key));
    found.count('compared');
    if (order < 0) found.problem(`${a!.key} is in the index, but not in the tree`);
    else if (order > 0) found.problem(`${b!.key} is in the tree, but not in the index`);
    else await compareBodies(found, a!.key, () => base.openBody(a!.record), await tree.openBody(b!.record));
    if (order <= 0) a = await nextOf(ours);
    if (order >= 0) b = await nextOf(theirs);
  }
}

async function compareBodies(
  found: Findings,
  key: string,
  open: () => Promise<ObjectBody>,
  tree: ObjectBody,
): Promise<void> {
  try {
    if (await isSame(await open(), tree)) return;
    found.problem(`${key} has other bytes in the tree than in the index`);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'corrupt') throw error;
    found.problem(`${key} can't be read from the index, but from the tree: run gitee-s3 rebuild`);
  }
}

async function nextOf<T>(items: AsyncGenerator<T, void>): Promise<T | undefined> {
  const { done, value } = await items.next();
  return done ? undefined : value;
}

async function isSame(a: ObjectBody, b: ObjectBody): Promise<boolean> {
  if (a.kind === 'plain' || b.kind === 'plain')
    return a.kind === 'plain' && b.kind === 'plain' && Buffer.compare(a.bytes, b.bytes) === 0;
  if (a.list.count !== b.list.count || a.list.sizeBytes !== b.list.sizeBytes) return false;
  const others = b.list.range(0, b.list.sizeBytes)[Symbol.asyncIterator]();
  for await (const extent of a.list.range(0, a.list.sizeBytes)) {
    const other = (await others.next()).value as typeof extent | undefined;
    if (extent.oid !== other?.oid || extent.lengthBytes !== other.lengthBytes) return false;
  }
  return true;
}
