import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { until } from '../test/support/child.js';
import { makeImage, push } from '../test/support/image.js';
import { startStack } from '../test/support/stack.js';
import { sourceFigures } from './shape/sources.js';

const HELP = `npm run bench -- shape [--checkout DIR]

  --checkout DIR   a built checkout (this one)
`;

/** A body that is kept in the tree as it is, and one that is a chunk. */
const SIZES = [
  ['1 kB', 1_000],
  ['300 kB', 300_000],
] as const;

const TURNS = 5;

type Touched = readonly (readonly [file: string, functionName: string])[];

/** `npm run bench -- shape`: how much code one request runs through, and what can be counted in the sources. */
export async function shape(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { checkout: { type: 'string', default: '.' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return console.log(HELP);
  const checkout = path.resolve(values.checkout);
  const { overLong, ...rest } = sourceFigures(checkout);
  console.log(JSON.stringify({ ...rest, overLong: overLong.length, names: overLong }));

  const stack = await startStack({
    start: false,
    checkout,
    // Nothing but the requests: no commit of its own, no look at the branch.
    config: { commit: { interval: '10m' }, poll_interval: '10m' },
  });
  const file = path.join(stack.directory, 'touched');
  const { gateway } = stack;
  gateway.env = {
    ...gateway.env,
    NODE_OPTIONS: `--import ${pathToFileURL(path.resolve('bench/shape/preload.mjs')).href}`,
    SHAPE_ROOT: pathToFileURL(path.join(checkout, 'dist')).href,
    SHAPE_FILE: file,
  };
  await gateway.start();
  let n = 0;
  const taken = async (): Promise<Touched> => {
    n += 1;
    process.kill(gateway.child!.pid, 'SIGUSR2');
    let text = '';
    await until('the gateway has said what ran', async () => {
      text = await readFile(`${file}.${n}`, 'utf8').catch(() => '');
      return text !== '';
    });
    return JSON.parse(text) as Touched;
  };
  /** What ran in every one of the turns: what goes on in the background does not run in all. */
  const measured = async (name: string, run: (turn: number) => Promise<unknown>) => {
    let always: readonly string[] | undefined;
    for (let turn = 0; turn < TURNS; turn += 1) {
      await taken();
      await run(turn);
      const now = new Set((await taken()).map((each) => each.join(' ')));
      always = always ? always.filter((each) => now.has(each)) : [...now];
    }
    const files = new Set(always!.map((each) => each.split(' ')[0])).size;
    console.log(JSON.stringify({ name, files, functions: always!.length }));
  };

  try {
    const s3 = gateway.s3Client();
    const Bucket = 'files';
    const put = (Key: string, sizeBytes: number) =>
      s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(sizeBytes, Key) }));
    const get = async (Key: string) =>
      (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToByteArray();
    const registry = await stack.startRegistry();
    const image = await makeImage(path.join(stack.directory, 'image'), [300_000]);
    const tag = async (name: string) => {
      const { code, stderr } = await push(image, registry.address, `app:${name}`);
      if (code !== 0) throw new Error(stderr);
    };
    // What runs once only is not a request's.
    for (const turn of ['first', 'second']) {
      for (const [size, sizeBytes] of SIZES) await put(`${size}/${turn}`, sizeBytes);
      for (const [size] of SIZES) await get(`${size}/${turn}`);
    }
    for (const name of ['first', 'second']) await tag(name);
    await measured('nothing', async () => {});
    for (const [size, sizeBytes] of SIZES) {
      await measured(`PutObject, ${size}`, (turn) => put(`${size}/${turn}`, sizeBytes));
      await measured(`GetObject, ${size}`, (turn) => get(`${size}/${turn}`));
    }
    await measured('tag push', (turn) => tag(`t${turn}`));
    s3.destroy();
  } finally {
    await stack.close();
  }
}
