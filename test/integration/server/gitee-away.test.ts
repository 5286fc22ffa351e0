/**
 * Cold reads while Gitee, or the line to it, fails: before the beginning and in the middle; and what the gateway
 * says of it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { freePort, until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { SilentLine } from '../../support/silent-line.js';

const MiB = 1024 * 1024;
const LARGE_BYTES = 24 * MiB;
/** Longer than any single try waits. */
const SILENCE_MS = 25_000;
const KNOWN_WITHIN_MS = SILENCE_MS / 2;

let directory: string;
let gitee: RunningLocalGitee;
let gateway: TestGateway;
let s3: S3Client;
/** In front of Gitee and of its LFS storage. */
let lines: [SilentLine, SilentLine];
const hashes = new Map<string, string>();

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'away-'));
  const ports = [await freePort(), await freePort()] as const;
  lines = [await SilentLine.start(ports[0]), await SilentLine.start(ports[1])];
  gitee = await startLocalGitee({ behind: { ports, urls: [lines[0].url, lines[1].url] } });
  gateway = await TestGateway.start({
    directory: path.join(directory, 'gateway'),
    gitee: { url: lines[0].url, token: gitee.token },
    // No silence of Gitee is the client's fault.
    config: { commit: { interval: '200ms' }, s3: { answer_idle: '5s' } },
  });
  s3 = gateway.s3Client();
  for (const [key, sizeBytes] of [
    ['large', LARGE_BYTES],
    ...Array.from({ length: 12 }, (_, i) => [`small-${i}`, 300_000] as const),
  ] as const) {
    const body = randomBytes(sizeBytes);
    hashes.set(key, createHash('sha256').update(body).digest('hex'));
    await s3.send(new PutObjectCommand({ Bucket: 'files', Key: key, Body: body }));
  }
  await until('all is on Gitee', async () => {
    return (await gateway.metric('gateway_journal_pending_changes', { bucket: 'files' })) === 0;
  });
  await forgetAll();
});
afterEach(async () => {
  for (const line of lines) line.speak();
  await gitee.clearFaults();
  await until('Gitee is known to answer', async () => (await readyz()).status === 'ready');
});
afterAll(async () => {
  s3.destroy();
  await gateway.stop();
  for (const line of lines) await line.stop();
  await gitee.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Nothing is cached from here on. */
async function forgetAll(): Promise<void> {
  await gateway.stop();
  await rm(path.join(gateway.stateDirectory, 'chunks'), { recursive: true });
  await gateway.start();
}

/** One GET without a client's own tries. */
async function get(key: string): Promise<IncomingMessage> {
  const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket: 'files', Key: key }));
  return new Promise((resolve, reject) => request(url, resolve).on('error', reject).end());
}

/** How long a fault is there: what is tested. */
async function lasts(seconds: number): Promise<void> {
  const endMs = Date.now() + seconds * 1000;
  await until('the fault has lasted', () => Date.now() >= endMs);
}

async function bytesOf(answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of answer) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function isRight(key: string, answer: IncomingMessage): Promise<boolean> {
  const hash = createHash('sha256')
    .update(await bytesOf(answer))
    .digest('hex');
  return answer.statusCode === 200 && hash === hashes.get(key);
}

async function readyz(): Promise<{ status: string; problems: { name: string; detail: string }[] }> {
  const answer = await fetch(`${gateway.metricsUrl}/readyz`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Awaited<ReturnType<typeof readyz>>;
}

const downloaded = async () => (await gitee.stats()).repositories['acme/files']!.downloadedBytes;

test('a read while downloads fail is 503 with Retry-After, at once when that is known; all say so', async () => {
  expect(await isRight('small-0', await get('small-0'))).toBe(true);
  await gitee.fault('lfs-download-status', { status: 503 });
  const first = await get('small-1');
  expect([first.statusCode, first.headers['retry-after']]).toEqual([503, '1']);
  expect((await bytesOf(first)).toString()).toContain('<Code>ServiceUnavailable</Code>');
  await until('it is known for some seconds', async () => {
    const startMs = Date.now();
    const answer = await get('small-2');
    answer.resume();
    expect(answer.statusCode).toBe(503);
    return Date.now() - startMs < 1000;
  });
  // What is here is served, and the gateway stays in service.
  expect(await isRight('small-0', await get('small-0'))).toBe(true);
  const { status, problems } = await readyz();
  expect([status, problems[0]!.name]).toEqual(['degraded', 'gitee']);
  const words = /downloads from LFS are answered with errors since \S+Z, \d+ s ago: server-fault/;
  expect(problems[0]!.detail).toMatch(words);
  expect((await gateway.cli('status')).stdout).toMatch(words);
  expect(await gateway.metric('gateway_gitee_unanswered_seconds', { use: 'download' })).toBeGreaterThan(0);
  expect(await gateway.metric('gateway_gitee_unanswered_seconds', { use: 'commit' })).toBe(0);
  await gitee.clearFaults();
  // By a download that nobody waits for.
  await until('it is known that they are up', async () => (await readyz()).status === 'ready');
  expect(await isRight('small-2', await get('small-2'))).toBe(true);
});

test('a store that says of what it has that it is not there is away, too: 503, and it passes', async () => {
  await gitee.fault('lfs-download-status', { status: 404 });
  const answer = await get('small-7');
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '5']);
  expect((await bytesOf(answer)).toString()).toContain('<Code>ServiceUnavailable</Code>');
  await gitee.clearFaults();
  expect(await isRight('small-7', await get('small-7'))).toBe(true);
});

test('a new read waits out a fault of some seconds', async () => {
  await gitee.fault('lfs-download-status', { status: 502 });
  const answer = get('small-3');
  await lasts(5);
  await gitee.clearFaults();
  expect(await isRight('small-3', await answer)).toBe(true);
});

test('429 now and then is waited out', async () => {
  await gitee.passingFault('lfs-batch-status', 1, { status: 429, retryAfterSeconds: 1 });
  await gitee.passingFault('lfs-download-status', 1, { status: 429, retryAfterSeconds: 1 });
  expect(await isRight('small-4', await get('small-4'))).toBe(true);
});

test.each([
  ['502', 20, { status: 502 }],
  ['503', 8, { status: 503 }],
] as const)(
  'an answer under way waits out %s for %i s, and no byte is fetched twice',
  async (_name, seconds, fault) => {
    await forgetAll();
    const before = await downloaded();
    // Each of the first chunks comes to its half.
    await gitee.passingFault('lfs-download-cut', 3, { afterBytes: 2 * MiB });
    const answer = await get('large');
    const [first] = (await new Promise<Buffer[]>((resolve) => {
      answer.once('readable', () => resolve([answer.read() as Buffer]));
    })) as [Buffer];
    await gitee.fault('lfs-download-status', fault);
    await lasts(seconds);
    await gitee.clearFaults();
    const body = Buffer.concat([first, await bytesOf(answer)]);
    expect(createHash('sha256').update(body).digest('hex')).toBe(hashes.get('large'));
    // Local Gitee counts what was asked for: with three cuts, three rests of chunks are asked for again, none whole.
    expect((await downloaded()) - before).toBeLessThan(LARGE_BYTES + 3 * 7 * MiB);
  },
);

test('an answer under way outlives a line that is silent for 25 s; new ones are answered meanwhile', async () => {
  await forgetAll();
  await gitee.fault('lfs-download-slow', { ms: 5 });
  const answer = await get('large');
  const whole = isRight('large', answer);
  await lasts(0.5);
  for (const line of lines) line.fallSilent();
  const silentMs = Date.now();
  // Nobody knows yet: it takes until the first call has had no answer.
  const unknowing = await get('small-5');
  unknowing.resume();
  expect(unknowing.statusCode).toBe(503);
  expect(Date.now() - silentMs).toBeLessThan(SILENCE_MS);
  const askedMs = Date.now();
  const knowing = await get('small-6');
  knowing.resume();
  expect([knowing.statusCode, knowing.headers['retry-after']]).toEqual([503, '1']);
  // At once: long before the line speaks again.
  expect(Date.now() - askedMs).toBeLessThan(KNOWN_WITHIN_MS);
  expect((await readyz()).status).toBe('degraded');
  await lasts((silentMs + SILENCE_MS - Date.now()) / 1000);
  for (const line of lines) line.speak();
  await gitee.clearFaults();
  expect(await whole).toBe(true);
});
