import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { lsRefsRequest, UPLOAD_PACK_REQUEST } from '../src/git-wire/ls-refs.js';
import { CountedGit } from '../test/support/counted-git.js';
import { startS3Bucket } from '../test/support/s3-bucket.js';
import type { LocalGitee } from '../test/support/stack.js';

const AT_ONCE = 8;
const POLL_S = 2;
const IDLE_LOOKS = 5;

/**
 * Buckets made by request, eight at a time: each made, written, emptied and deleted, and what they cost at rest. Times
 * are told beside those of a bare look at the branch (`lookMs`), which is what making one has to wait for.
 */
export async function buckets(count: number): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'counted-git-'));
  const git = await CountedGit.prepare(directory);
  const bucket = await startS3Bucket({ createBuckets: true, config: { log: { level: 'warn' } } });
  const { gateway, gitee } = bucket.stack;
  gateway.env = { ...gateway.env, PATH: git.path };
  await gateway.restart();
  const names = Array.from({ length: count }, (_, i) => `made-${String(i).padStart(3, '0')}`);
  const print = (row: object) => console.log(JSON.stringify({ scenario: 'buckets', count, ...row }));
  const counted = async <T>(run: () => Promise<T>): Promise<[T, Record<string, number>]> => {
    const before = (await git.begun()).length;
    const result = await run();
    return [result, tally((await git.begun()).slice(before))];
  };
  const phase = async (name: string, method: string, target: (bucket: string) => string, body?: string) => {
    const tookMs: number[] = [];
    const statuses: number[] = [];
    const [, begun] = await counted(() =>
      atOnce(AT_ONCE, names, async (each) => {
        const startedMs = performance.now();
        const request = { method, path: target(each), ...(body === undefined ? {} : { body }) };
        const { status } = await bucket.wire.send(request);
        tookMs.push(performance.now() - startedMs);
        statuses.push(status);
      }),
    );
    const lookMs = quantile(await looks(gitee), 0.5);
    print({
      phase: name,
      medianMs: Math.round(quantile(tookMs, 0.5)),
      p99Ms: Math.round(quantile(tookMs, 0.99)),
      lookMs: Math.round(lookMs),
      medianInLooks: Number((quantile(tookMs, 0.5) / lookMs).toFixed(1)),
      statuses: tally(statuses.map(String)),
      git: begun,
    });
  };
  /** git programs begun while the branches were looked at so many times. */
  const rest = async (open: number) => {
    const { env } = gateway;
    gateway.env = { ...env, GATEWAY_POLL_INTERVAL: `${POLL_S}s` };
    await gateway.restart();
    const idle = () => new Promise((resolve) => setTimeout(resolve, POLL_S * IDLE_LOOKS * 1000));
    // What was committed before the restart is looked at once.
    for (let tries = 0; tries < 6 && Object.keys((await counted(idle))[1]).length > 0; tries += 1);
    const [, begun] = await counted(idle);
    print({ phase: 'rest', open, looks: IDLE_LOOKS, git: begun });
    gateway.env = env;
    await gateway.restart();
  };
  try {
    await rest(0);
    await phase('create', 'PUT', (name) => `/${name}`);
    await phase('put', 'PUT', (name) => `/${name}/key`, 'a few bytes');
    await rest(count);
    await phase('get', 'GET', (name) => `/${name}/key`);
    await phase('empty', 'DELETE', (name) => `/${name}/key`);
    await phase('delete', 'DELETE', (name) => `/${name}`);
  } finally {
    await bucket.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Times of bare requests for the head of a branch, as many at once as buckets are made. */
async function looks({ url, token }: LocalGitee): Promise<number[]> {
  const tookMs: number[] = [];
  const login = Buffer.from(`oauth2:${token}`).toString('base64');
  const body = new Uint8Array(lsRefsRequest('refs/heads/buckets', 'bench', { namesFormat: true }));
  await atOnce(AT_ONCE, Array.from({ length: 5 * AT_ONCE }), async () => {
    const startedMs = performance.now();
    const answer = await fetch(`${url}/acme/files.git/git-upload-pack`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${login}`,
        'content-type': UPLOAD_PACK_REQUEST,
        'git-protocol': 'version=2',
      },
      body,
    });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`a look was answered ${answer.status}`);
    tookMs.push(performance.now() - startedMs);
  });
  return tookMs;
}

async function atOnce<T>(width: number, items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const lane = async () => {
    while (rest.length > 0) await run(rest.shift() as T);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
