import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import type { Claim, S3Client, Words } from '../client.js';
import type { Place } from '../place.js';

const DIRECTORY = path.resolve('test/long/s3-clients/npm');
/** More than the 1,000 keys of a page (scenario.mjs). */
const MANY = 1100;

/** What most libraries do, in the same words. */
const COMMON = {
  objects: { en: 'objects written and read', zh: '对象的写入与读取' },
  multipart: { en: 'multipart uploads', zh: '分片上传' },
  ranges: { en: 'ranges', zh: '范围读取' },
  pages: { en: 'lists of several pages', zh: '多页列举' },
  copies: { en: 'copies', zh: '服务端复制' },
  conditions: { en: 'conditional writes', zh: '条件写入' },
  presigned: { en: 'presigned links', zh: '预签名链接' },
  forms: { en: 'presigned forms', zh: '预签名表单' },
  tags: { en: 'tags', zh: '标签' },
  uploads: { en: 'unfinished uploads are listed and ended', zh: '列举并终止未完成的上传' },
  deletes: { en: 'deletion', zh: '删除' },
} as const satisfies Record<string, Words>;

/** A step of the scenario: one of the common ones, or one with words of its own. */
type Step = keyof typeof COMMON | { readonly [step: string]: Words };

/**
 * A library of npm. Its scenario, a program of its own, takes all steps in one run and prints what came of each; the
 * lines between the two marks in it are the configuration that the document shows.
 */
export function npmClient(client: {
  readonly name: string;
  /** With versions; the first one is the client. */
  readonly packages: readonly string[];
  /** Its file here, without `.mjs`. */
  readonly scenario: string;
  readonly works: readonly Step[];
  readonly limits?: readonly Step[];
  /** What runs the scenario, where Node does not. */
  readonly runtime?: string;
  readonly virtualHosts?: true;
}): S3Client {
  const text = readFileSync(path.join(DIRECTORY, `${client.scenario}.mjs`), 'utf8');
  const shown = /^\/\/ As the document has it:\n(.*?)^\/\/ Until here\.$/ms.exec(text)?.[1];
  if (shown === undefined) throw new Error(`${client.scenario}.mjs: no configuration between its marks`);
  const works = client.works.flatMap(stepsOf);
  const limits = (client.limits ?? []).flatMap(stepsOf);
  const names = [...works, ...limits].map(([name]) => name);
  const runs = new WeakMap<Place, Promise<ReadonlyMap<string, string | undefined>>>();
  const claim = ([name, words]: readonly [string, Words]): Claim => ({
    ...words,
    check: async (place) => {
      let run = runs.get(place);
      if (run === undefined) runs.set(place, (run = take(place, client, names)));
      const error = (await run).get(name);
      if (error !== undefined) throw new Error(error);
    },
  });
  return {
    name: client.name,
    packages: { npm: client.packages },
    ...(client.virtualHosts ? { virtualHosts: true } : {}),
    configuration: [{ language: 'js', text: shown.trim() }],
    prepare: putMany,
    works: works.map(claim),
    limits: limits.map(claim),
  };
}

function stepsOf(step: Step): (readonly [string, Words])[] {
  return typeof step === 'string' ? [[step, COMMON[step]]] : Object.entries(step);
}

async function putMany(place: Place): Promise<void> {
  let next = 0;
  const putSome = async () => {
    while (next < MANY) {
      const key = `many/${String(next++).padStart(4, '0')}`;
      await place.put(key, key);
    }
  };
  await Promise.all(Array.from({ length: 8 }, putSome));
}

/** What came of each step: an error, or nothing. */
async function take(
  place: Place,
  { scenario, runtime }: { scenario: string; runtime?: string },
  names: readonly string[],
): Promise<ReadonlyMap<string, string | undefined>> {
  for (const name of ['scenario', scenario])
    await place.write(`${name}.mjs`, place.filled(readFileSync(path.join(DIRECTORY, `${name}.mjs`), 'utf8')));
  const { code, stdout, stderr } = await place.trySh(`${runtime ?? `'${process.execPath}'`} ${scenario}.mjs`);
  assert.equal(code, 0, `${scenario}.mjs ended with ${code}: ${stderr.slice(-2000)}`);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"step":'));
  const steps = lines.map((line) => JSON.parse(line) as { step: string; error?: string });
  // Neither a claim without a step nor a step that nobody reads.
  assert.deepEqual(steps.map(({ step }) => step).sort(), [...names].sort());
  return new Map(steps.map(({ step, error }) => [step, error]));
}
