/**
 * Where the cells of the fault matrix are run: one local Gitee, gateway and registry. A row is one fault: what its
 * operations need is made while all is well, then the fault begins, all of them are asked, it ends, everything lands,
 * and what was told is compared with what is there. Waits are short by configuration.
 */
import { readFile, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { until } from '../../support/child.js';
import { shippedBounds } from '../../support/shipped-bounds.js';
import { ABSENT, History, outcomeOf, valueOf, type Value, type View } from '../../support/history/history.js';
import { throughRegistry } from '../../support/history/images.js';
import { expectNothingLost } from '../../support/history/everywhere.js';
import { makeImage, push } from '../../support/image.js';
import { encodePath, type WireClient } from '../../support/s3-client.js';
import { bytesOf, startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import type { RunningRegistry } from '../../support/registry.js';
import { ask, type Manners, type Told } from './client.js';
import { FaultMaker } from './fault-maker.js';
import { OPERATIONS } from './columns.js';
import { cellOf, type Fault } from './faults.js';
import { commandOf } from './operator.js';
import { CHUNKED_BYTES, TAGS_KEY, type Effect, type Group, type MatrixOperation } from './operations.js';

/** What came of one cell. */
export interface Ran {
  readonly told: Told;
  readonly tookMs: number;
  /** Of each effect, after recovery. */
  readonly effects: readonly (Effect & { readonly found: Value; readonly before: Value })[];
}

/** How long what waits for Gitee is held while nothing gets through, and at most. */
export const HOLD_MIN_MS = 5_000;
export const HOLD_MS = 10_000;
const PULLED = 'matrix/pulled:v1';

/** One cell, ready to be asked. */
interface Asked {
  readonly operation: MatrixOperation;
  readonly effects: readonly Effect[];
  readonly history: History;
  readonly ask: (manners: Manners) => Promise<Told>;
}

export class MatrixWorld {
  readonly history = new History();
  readonly buckets = new History();
  readonly images = new History();
  #registry!: RunningRegistry;
  #n = 0;

  private constructor(
    readonly bucket: S3Bucket,
    readonly faults: FaultMaker,
  ) {}

  /** @param names of the faults that are to be run: each gets two objects that only Gitee has */
  static async start(names: readonly string[]): Promise<MatrixWorld> {
    const config = {
      inline_limit: '1KiB',
      uplink_initial: '64MiB',
      s3: { body_idle: '1s' },
      commit: { interval: '500ms' },
      poll_interval: '5s',
      barrier: { hold: `${HOLD_MIN_MS}ms`, hold_max: `${HOLD_MS}ms` },
      gitee: { timeouts: { connect: '1s', idle: '2s', api: '3s', push: '4s' } },
      buckets: [
        { name: 'registry', repository: 'acme/images', branch: 'master', preset: 'registry' },
        {
          ...{ name: 'files', repository: 'acme/files', branch: 'master', preset: 'generic' },
          ...{ write_concern: 'barrier', barrier_patterns: ['now/**'] },
        },
      ],
    };
    const bucket = await startS3Bucket({ createBuckets: true, config });
    const world = new MatrixWorld(bucket, await FaultMaker.prepare(bucket, config));
    await world.#prepare(names);
    return world;
  }

  get wire(): WireClient {
    return this.bucket.wire;
  }

  async close(): Promise<void> {
    await this.faults.close();
    await this.bucket.close();
  }

  async #prepare(names: readonly string[]): Promise<void> {
    const { stack } = this.bucket;
    for (const name of names) {
      for (const key of [remoteKeyOf(name), otherRemoteKeyOf(name)]) {
        const body = bytesOf(CHUNKED_BYTES, key);
        await this.wire.send({ method: 'PUT', path: `/files/${encodePath(key)}`, body });
        this.history.begins(key, valueOf(body));
      }
    }
    this.#registry = await stack.startRegistry();
    await this.#land();
    const { gateway } = stack;
    await gateway.stop();
    await rm(path.join(gateway.stateDirectory, 'chunks'), { recursive: true });
    gateway.env = { ...gateway.env, ...(await shippedBounds()), ...this.faults.env };
    await gateway.start();
    const image = await this.#image();
    const pushed = await push(image, this.#registry.address, PULLED);
    if (pushed.code !== 0) throw new Error(pushed.stderr);
    this.images.begins(PULLED, image.manifestDigest);
  }

  /** Runs all cells of a row that there are. */
  async run(fault: Fault, operations: readonly MatrixOperation[] = OPERATIONS): Promise<Map<string, Ran>> {
    const asked: Asked[] = [];
    for (const operation of operations)
      if (!('never' in cellOf(fault, operation))) asked.push(await this.#prepared(fault, operation));
    await this.#land();
    const ran = await this.#under(fault, asked);
    await this.well();
    const results = new Map<string, Ran>();
    for (const { operation, effects, history } of asked) {
      const found = [];
      for (const effect of effects) {
        const seen = await history.read(effect.key, this.viewOf(history));
        found.push({ ...effect, found: seen, before: history.beginning(effect.key) });
      }
      results.set(operation.name, { ...ran.get(operation.name)!, effects: found });
    }
    await this.#removeBuckets();
    return results;
  }

  /** Nothing is lost anywhere, of all that was asked so far. */
  async expectNothingLost(): Promise<void> {
    await expectNothingLost(
      this.bucket.stack,
      { bucket: 'files', history: this.history, view: this.viewOf(this.history), holds: 'objects' },
      { bucket: 'registry', history: this.images, view: this.viewOf(this.images), holds: 'images' },
    );
  }

  viewOf(history: History, wire = this.wire): View {
    if (history === this.images) return throughRegistry(this.#registry.address, this.bucket.stack.directory);
    return async (key) => {
      const isBucket = history === this.buckets;
      const isTags = !isBucket && key.endsWith(TAGS_KEY);
      const answer = await wire.send({
        method: isBucket ? 'HEAD' : 'GET',
        path: isBucket ? `/${key}` : `/files/${encodePath(isTags ? key.slice(0, -TAGS_KEY.length) : key)}`,
        query: isTags ? { tagging: '' } : {},
      });
      if (answer.status === 404) return ABSENT;
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
      if (isBucket) return 'there';
      if (!isTags) return valueOf(answer.body);
      const values = answer.xmlAll('Value');
      return (
        answer
          .xmlAll('Key')
          .map((name, i) => `${name}=${values[i]}`)
          .join('&') || ABSENT
      );
    };
  }

  /** What the gateway's process has for itself, without files that are mapped. */
  async rssAnonMiB(): Promise<number> {
    const status = await readFile(`/proc/${this.bucket.stack.gateway.child!.pid}/status`, 'utf8');
    return Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)![1]) / 1024);
  }

  /** Each bucket follows its branch: those of rows that are over would cost all that come after. */
  async #removeBuckets(): Promise<void> {
    for (const name of this.buckets.keys) {
      if (!this.buckets.possible(name).includes('there')) continue;
      const request = async () =>
        outcomeOf((await this.wire.send({ method: 'DELETE', path: `/${name}` })).status);
      await this.buckets.write(name, ABSENT, 'local', request);
    }
  }

  async #prepared(fault: Fault, operation: MatrixOperation): Promise<Asked> {
    const { history, buckets, images, wire } = this;
    const image = this.#registry.address;
    if (operation.name === 'docker push') {
      const [name, made] = [`matrix/${(this.#n += 1)}:v1`, await this.#image()];
      const effects = [{ key: name, value: made.manifestDigest }];
      const request = async () => ((await push(made, image, name)).code === 0 ? 200 : 503);
      return { operation, effects, history: images, ask: request };
    }
    if (operation.name === 'docker pull') {
      const request = () =>
        images.read(PULLED, this.viewOf(images)).then(
          () => 200,
          () => 'cut' as const,
        );
      return { operation, effects: [], history: images, ask: request };
    }
    const prefix = `${fault.name} ${(this.#n += 1)}/`;
    const command = await commandOf(operation)?.({
      prefix,
      setAside: (key, body) => this.#setAside(key, body),
      cli: (...args) => this.bucket.stack.gateway.cli(...args),
    });
    if (command) return { operation, effects: command.effects, history, ask: command.run };
    const remoteBody = bytesOf(CHUNKED_BYTES, otherRemoteKeyOf(fault.name));
    const place = { wire, history, buckets, prefix, remoteKey: remoteKeyOf(fault.name), remoteBody };
    const { request, effects, reads } = await operation.prepare!(place);
    const of = isOfBuckets(operation) ? buckets : history;
    return {
      ...{ operation, effects, history: of },
      ask: (manners) => {
        const read = reads === undefined ? undefined : of.beginRead(reads);
        return ask(wire, request, manners, (value) => read?.saw(value));
      },
    };
  }

  async #under(fault: Fault, asked: readonly Asked[]): Promise<Map<string, Omit<Ran, 'effects'>>> {
    const results = new Map<string, Omit<Ran, 'effects'>>();
    const manners: Manners = fault.name.startsWith('client: ') ? (fault.name as Manners) : 'well';
    const askThose = (of: (group: Group) => boolean) =>
      Promise.all(
        asked
          .filter(({ operation }) => of(operation.group))
          .map(async (one) => results.set(one.operation.name, await this.#ask(one, manners))),
      );
    await this.faults.during(fault, {
      atOnce: () => askThose(() => true),
      inOrder: async () => {
        await askThose((group) => group === 'writes');
        await askThose((group) => group !== 'writes');
      },
      answers: () => results.size,
      serverEnded: () => {
        for (const history of [this.history, this.buckets, this.images]) history.serverEnded();
      },
      landed: () => this.#land(),
      history: this.history,
      view: (wire) => this.viewOf(this.history, wire),
    });
    return results;
  }

  async #ask(
    { operation, effects, history, ask: request }: Asked,
    manners: Manners,
  ): Promise<Omit<Ran, 'effects'>> {
    const concern = operation.group === 'waits' ? 'remote' : 'local';
    const calls = effects.map(({ key, value }) => history.begin(key, value, concern));
    const begunMs = performance.now();
    const told = await request(manners);
    for (const call of calls) call.ended(outcomeOf(told === 'cut' ? undefined : told));
    return { told, tookMs: performance.now() - begunMs };
  }

  /** After a fault: what was put off has landed, and Gitee is taken for well again. */
  async well(): Promise<void> {
    const { gateway } = this.bucket.stack;
    gateway.child!.process.kill('SIGHUP');
    await this.#land();
    await until('what waits for Gitee is acknowledged again', async () => {
      return (await ask(this.wire, { method: 'PUT', path: '/files/now/well', body: 'well' }, 'well')) === 200;
    });
    await until(
      'the gateway is ready',
      async () => (await fetch(`${gateway.metricsUrl}/readyz`)).status === 200,
    );
    await this.#land();
  }

  /** Gitee refuses it for its content, now; it would not any more. */
  async #setAside(key: string, body: string): Promise<void> {
    const { gateway, gitee } = this.bucket.stack;
    const count = () => gateway.metric('gateway_quarantined_changes', { bucket: 'files' });
    await this.#land();
    const before = (await count()) ?? 0;
    await gitee.fault('git-hook-refuse', {
      match: { repo: 'acme/files' },
      text: "error: object 1a2b: hasDotgit: contains '.git'\nfatal: fsck error in pack objects",
    });
    const { status } = await this.wire.send({ method: 'PUT', path: `/files/${encodePath(key)}`, body });
    if (status !== 200) throw new Error(`PUT ${key}: ${status}`);
    this.history.begins(key, valueOf(body));
    await until('it is set aside', async () => ((await count()) ?? 0) > before);
    await gitee.clearFaults();
  }

  async #land(): Promise<void> {
    for (const bucket of ['files', 'registry']) await this.bucket.landed(bucket);
  }

  #image() {
    return makeImage(path.join(this.bucket.stack.directory, `image-${(this.#n += 1)}`), [20_000]);
  }
}

const remoteKeyOf = (name: string): string => `only on Gitee/${name}`;
const otherRemoteKeyOf = (name: string): string => `${remoteKeyOf(name)} too`;

const isOfBuckets = ({ s3 }: MatrixOperation): boolean => s3 === 'CreateBucket' || s3 === 'DeleteBucket';
