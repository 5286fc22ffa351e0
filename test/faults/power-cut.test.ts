/**
 * Invariant 1: an acknowledged write is never lost, not by a power cut. kill -9 keeps the page cache and so proves
 * no fsync; here every byte and every name that was not synced at the kill is gone (test/support/power-cut).
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { open } from 'lmdb';
import { mustRun, until } from '../support/child.js';
import { expectNothingLost } from '../support/history/everywhere.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { record, throughGateway } from '../support/history/s3-client.js';
import { makeImage } from '../support/image.js';
import { PowerCutDisk, type NameRules } from '../support/power-cut/power-cut.js';
import { rounds } from '../support/rounds.js';
import { bytesOf } from '../support/s3-bucket.js';
import { startStack, type Stack } from '../support/stack.js';
import { spawnTied } from '../support/tied.js';
import { TEST_LIMIT_MS } from '../support/time-limits.js';

const RUNS = Number(process.env.POWER_CUT_RUNS ?? rounds(6));
const seed = Number(process.env.POWER_CUT_SEED ?? Date.now() % 1_000_000);
const MIB = 1024 * 1024;
const KILLED_WITHIN_MS = 3_000;
const Bucket = 'files';

/** Mulberry32: a seed replays the moments. */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe.each<NameRules>(['journal', 'posix'])('the power cut itself, by the rules of %s', (rules) => {
  let directory: string;
  let said: { childHasPreload: boolean; boot: string };
  const root = () => path.join(directory, 'disk');
  const text = (name: string) => readFile(path.join(root(), name), 'latin1');
  const names = async (name: string) => (await readdir(path.join(root(), name))).sort();

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'power-cut-'));
    await mkdir(root());
    const disk = await PowerCutDisk.prepare(root(), path.join(directory, 'records'));
    const { NODE_OPTIONS: _, ...env } = process.env;
    const writer = spawnTied(process.execPath, ['test/support/power-cut/writer.mjs', root()], {
      env: { ...env, ...(await disk.powerOn(rules)) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(writer.stdout, 'data')) as [Buffer];
    said = JSON.parse(line.toString()) as typeof said;
    const exited = once(writer, 'exit');
    writer.kill('SIGKILL');
    await exited;
    await disk.cut();
  });

  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('drops what was written without fsync and keeps what was synced', async () => {
    expect(await names('.')).not.toContain('never-synced');
    expect(await text('named-only')).toBe('');
    expect(await text('synced')).toBe('kept');
    expect(await text('appended-after')).toBe('kept');
  });

  test('keeps of a write through O_DSYNC its own bytes only', async () => {
    expect(await text('dsync')).toBe('\0\0\0\0kept');
  });

  test('undoes a rename or unlink until the directory or the file at its new name is synced', async () => {
    expect(await names('a')).toEqual(['old']);
    expect(await names('b')).toEqual([rules === 'journal' ? 'new' : 'old']);
    expect(await names('c')).toEqual(['new']);
    expect(await names('d')).toEqual(['old', 'removed']);
    if (rules === 'journal') expect(await text('deep/er/file')).toBe('kept');
    else expect(await names('deep')).toEqual([]);
    expect(await names('empty')).toEqual([]);
  });

  test('keeps of LMDB what was flushed', async () => {
    const read = async (name: string, key: string) => {
      const db = open({ path: path.join(root(), name) });
      const value: unknown = db.get(key);
      await db.close();
      return value;
    };
    // LMDB never syncs the directory of its file: whoever opens it must.
    const kept = rules === 'journal' ? 'kept' : undefined;
    expect(await read('lmdb', 'flushed')).toBe(kept);
    expect(await read('lmdb-map', 'flushed')).toBe(kept);
    expect(await read('lmdb-named', 'flushed')).toBe('kept');
    expect(await read('lmdb-unsynced', 'put')).toBeUndefined();
  });

  test('is a new boot, and does not follow into children', () => {
    expect(said.childHasPreload).toBe(false);
    expect(said.boot).toMatch(/^[0-9a-f-]{36}\n$/);
  });
});

describe(`a power cut under the gateway (seed ${seed})`, () => {
  let stack: Stack;
  let registry: Awaited<ReturnType<Stack['startRegistry']>>;
  let disk: PowerCutDisk;
  let s3: S3Client;
  const images = new History();
  const objects = new History();
  let n = 0;

  beforeAll(async () => {
    // Commits are tried soon, and the line is taken for fast, so that admission waits for nothing.
    stack = await startStack({
      start: false,
      config: { uplink_initial: '64MiB', commit: { interval: '1s' } },
    });
    const { gateway } = stack;
    disk = await PowerCutDisk.prepare(gateway.stateDirectory, path.join(stack.directory, 'records'));
    s3 = record(gateway.s3Client(), objects);
    await powerOn();
    registry = await stack.startRegistry();
  });

  afterAll(async () => {
    s3?.destroy();
    await stack?.close();
  });

  /** Starts the gateway; the recording must not reach any other command of it. */
  async function powerOn(options: { ready?: boolean; rules?: NameRules } = {}): Promise<void> {
    const { gateway } = stack;
    const env = gateway.env;
    gateway.env = { ...env, ...(await disk.powerOn(options.rules ?? 'posix')) };
    await gateway.start(options).finally(() => (gateway.env = env));
    await until('the S3 port answers', () =>
      fetch(gateway.endpoint).then(
        () => true,
        () => false,
      ),
    );
  }

  async function powerCut(): Promise<void> {
    await stack.gateway.kill();
    await disk.cut();
    objects.serverEnded();
  }

  const put = (Key: string, Body: Buffer) => s3.send(new PutObjectCommand({ Bucket, Key, Body }));

  async function checkObjects(): Promise<void> {
    expect(await objects.problems(throughGateway(s3, Bucket))).toEqual([]);
  }

  const imagesView = () => throughRegistry(registry.address, stack.directory);

  async function checkImages(names: Iterable<string>): Promise<void> {
    expect(await images.problems(imagesView(), 'local', names)).toEqual([]);
  }

  async function fsck(): Promise<void> {
    const result = await stack.gateway.cli('fsck');
    expect([result.code, result.stdout, result.stderr].join('\n')).toMatch(/^0\n/);
  }

  async function tryPush(name: string): Promise<boolean> {
    const image = await makeImage(path.join(stack.directory, `image-${(n += 1)}`), [30_000, 9 * MIB]);
    return (await recordPush(images, registry.address, name, image)) === 'ok';
  }

  const landed = (bucket: string) =>
    until(`everything of ${bucket} is on Gitee`, async () => {
      return (await stack.gateway.metric('gateway_journal_pending_changes', { bucket })) === 0;
    });

  const begin = async (Key: string) =>
    (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!;
  const part = async (Key: string, UploadId: string, PartNumber: number, Body: Buffer) => {
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  const complete = (
    Key: string,
    UploadId: string,
    Parts: { PartNumber: number; ETag: string | undefined }[],
  ) => s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  const [large, small] = [bytesOf(9 * MIB, 'large'), bytesOf(1000, 'small')];
  const [first, second] = [bytesOf(6 * MIB, 'first'), bytesOf(70_000, 'second')];

  /** Each does what ends in one acknowledgement, and returns the look at it after the cut. */
  const ACKNOWLEDGEMENTS: [string, () => Promise<() => Promise<void>>][] = [
    ['PutObject, inline', () => put('ack/small', small).then(() => checkObjects)],
    ['PutObject, in chunks', () => put('ack/large', large).then(() => checkObjects)],
    ['PutObject over another', () => put('ack/small', second).then(() => checkObjects)],
    [
      'CopyObject',
      async () => {
        await s3.send(new CopyObjectCommand({ Bucket, Key: 'ack/copy', CopySource: `${Bucket}/ack/large` }));
        return checkObjects;
      },
    ],
    [
      'DeleteObject',
      async () => {
        await put('ack/gone', small);
        await s3.send(new DeleteObjectCommand({ Bucket, Key: 'ack/gone' }));
        return checkObjects;
      },
    ],
    [
      'PutObjectTagging',
      async () => {
        const Tagging = { TagSet: [{ Key: 'power', Value: 'cut' }] };
        await s3.send(new PutObjectTaggingCommand({ Bucket, Key: 'ack/large', Tagging }));
        return checkObjects;
      },
    ],
    [
      'CreateMultipartUpload',
      async () => {
        const id = await begin('ack/created');
        return async () => {
          await complete('ack/created', id, [await part('ack/created', id, 1, second)]);
          await checkObjects();
        };
      },
    ],
    [
      'UploadPart',
      async () => {
        const id = await begin('ack/part');
        const one = await part('ack/part', id, 1, first);
        return async () => {
          await complete('ack/part', id, [one, await part('ack/part', id, 2, second)]);
          await checkObjects();
        };
      },
    ],
    [
      'CompleteMultipartUpload',
      async () => {
        const id = await begin('ack/completed');
        const parts = [await part('ack/completed', id, 1, first), await part('ack/completed', id, 2, second)];
        await complete('ack/completed', id, parts);
        return checkObjects;
      },
    ],
    [
      'AbortMultipartUpload',
      async () => {
        const UploadId = await begin('ack/aborted');
        await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'ack/aborted', UploadId }));
        return () =>
          expect(part('ack/aborted', UploadId, 1, small)).rejects.toMatchObject({ name: 'NoSuchUpload' });
      },
    ],
  ];

  describe('with nothing of it on Gitee, directly after the answer', () => {
    beforeAll(async () => {
      await stack.gitee.fault('git-stall', { match: { repo: 'acme/files' } });
      await stack.gitee.fault('lfs-stall', { match: { repo: 'acme/files' } });
    });

    test.each(ACKNOWLEDGEMENTS)('%s is kept', async (_name, acknowledge) => {
      const look = await acknowledge();
      await powerCut();
      await powerOn({ ready: false });
      await look();
    });

    test('all of it lands when Gitee answers again', async () => {
      expect((await stack.gitee.stats()).repositories['acme/files']).toMatchObject({ uploads: 0, pushes: 0 });
      await stack.gitee.clearFaults();
      await powerCut();
      await powerOn();
      await landed('files');
      await checkObjects();
      await fsck();
    });
  });

  test('directly after a push returned: it pulls whole, and the next push succeeds', async () => {
    expect(await tryPush('acked/image:v1')).toBe(true);
    await powerCut();
    await powerOn();
    await checkImages(['acked/image:v1']);
    expect(await tryPush('acked/image:v2')).toBe(true);
    await fsck();
  });

  test(
    `at ${RUNS} random moments of pushes, puts and parts`,
    async () => {
      const random = randomOf(seed);
      for (let i = 0; i < RUNS; i += 1) {
        const work = new Work();
        const Key = `random/r${i}/multipart`;
        const UploadId = await begin(Key);
        const parts: { PartNumber: number; ETag: string | undefined }[] = [];
        work.repeat((k) => tryPush(`random/r${i}:v${k}`));
        work.repeat((k) => put(`random/r${i}/small-${k}`, bytesOf(1000 + k, `${seed} ${i} ${k}`)));
        work.repeat((k) => put(`random/r${i}/large-${k}`, bytesOf(5 * MIB + k, `${seed} ${i} ${k}`)));
        work.repeat(async (k) => {
          parts.push(await part(Key, UploadId, k + 1, bytesOf(5 * MIB, `part ${seed} ${i} ${k}`)));
        });
        // eslint-disable-next-line no-restricted-syntax -- the moment is the fault that is injected
        await new Promise((resolve) => setTimeout(resolve, 200 + random() * KILLED_WITHIN_MS));
        work.stop();
        await powerCut();
        await work.ended();
        await powerOn({ rules: i % 2 === 0 ? 'journal' : 'posix' });
        await complete(Key, UploadId, [...parts, await part(Key, UploadId, 5000, second)]);
        await checkObjects();
        await checkImages(images.keys.filter((name) => name.startsWith(`random/r${i}:`)));
        expect(await tryPush(`random/r${i}:next`)).toBe(true);
        await fsck();
      }
    },
    TEST_LIMIT_MS * (1 + RUNS),
  );

  test('after all of it nothing is lost: here, in a clone, and of a gateway that has Gitee alone', async () => {
    await expectNothingLost(
      stack,
      { bucket: 'files', history: objects, view: throughGateway(s3, Bucket), holds: 'objects' },
      { bucket: 'registry', history: images, view: imagesView(), holds: 'images' },
    );
    await fsck();
    for (const repository of ['images', 'files'])
      await mustRun('git', [
        ...['-C', path.join(stack.gitee.dataDir, `repositories/acme/${repository}.git`)],
        ...['fsck', '--strict'],
      ]);
  });
});

/** Clients that go on until the power is gone; what fails then was not acknowledged. */
class Work {
  #stopped = false;
  readonly #clients: Promise<Error | void>[] = [];

  repeat(step: (k: number) => Promise<unknown>): void {
    const run = async () => {
      for (let k = 0; !this.#stopped; k += 1) await step(k);
    };
    // Kept for ended(): whoever fails before the stop found a fault of the gateway.
    this.#clients.push(run().catch((error: Error) => (this.#stopped ? undefined : error)));
  }

  stop(): void {
    this.#stopped = true;
  }

  async ended(): Promise<void> {
    for (const error of await Promise.all(this.#clients)) if (error) throw error;
  }
}
