import { readFile, rm, writeFile } from 'node:fs/promises';
import { chain, encodeLine, GENESIS, type AuditRecord } from '../../../src/audit/record.js';
import { verifyAudit } from '../../../src/audit/verify.js';
import { findEvents } from '../../../src/audit/find.js';
import { run } from '../../support/child.js';
import { DAY_MS, event, TestAudit } from './directory.js';

let audit: TestAudit;
const FIRST = '2026-11-24.000000000001.jsonl';
const SECOND = '2026-11-25.000000000004.jsonl';

beforeEach(async () => {
  audit = await TestAudit.make();
  await audit.write(event('one'), event('two'), event('three'));
  audit.clock.ms += DAY_MS;
  await audit.write(
    event('four', { who: '爱丽丝' }),
    event('five', { detail: { b: 1, a: '\u2028', c: true } }),
  );
});
afterEach(() => audit.remove());

const verify = (expected?: { seq: number; hash: string }) =>
  verifyAudit(audit.directory, { clock: audit.clock, ...(expected ? { expected } : {}) });

async function edit(file: string, change: (lines: string[]) => string[]): Promise<void> {
  const lines = change(await audit.lines(file));
  await writeFile(audit.path(file), lines.map((line) => `${line}\n`).join(''));
}

test.each<[string, string, (lines: string[]) => string[], { file: string; line: number; problem: string }]>([
  [
    'a changed field',
    FIRST,
    (lines) => lines.map((l, i) => (i === 1 ? l.replace('"alice"', '"mallory"') : l)),
    { file: FIRST, line: 2, problem: expect.stringContaining('was changed') as string },
  ],
  [
    'a line with a right hash of its own in the place of another',
    FIRST,
    (lines) => {
      const { seq: _, prev: __, hash: ___, ...record } = JSON.parse(lines[1]!) as AuditRecord;
      const forged = chain(
        { ...record, who: 'mallory' },
        { seq: 1, hash: (JSON.parse(lines[0]!) as AuditRecord).hash },
      );
      return [lines[0]!, encodeLine(forged).trimEnd(), lines[2]!];
    },
    { file: FIRST, line: 3, problem: expect.stringContaining('does not follow') as string },
  ],
  [
    'a line taken out',
    FIRST,
    (lines) => [lines[0]!, lines[2]!],
    { file: FIRST, line: 2, problem: expect.stringContaining('event 3 after 1') as string },
  ],
  [
    'lines in another order',
    SECOND,
    (lines) => [...lines].reverse(),
    { file: SECOND, line: 1, problem: expect.stringContaining('event 5 after 3') as string },
  ],
  [
    'a field that the hash does not cover',
    FIRST,
    (lines) => lines.map((l) => l.replace('{"seq"', '{"note":"x","seq"')),
    { file: FIRST, line: 1, problem: expect.stringContaining('not written as the log writes it') as string },
  ],
  [
    'the first line taken out',
    FIRST,
    (lines) => lines.slice(1),
    { file: FIRST, line: 1, problem: expect.stringContaining('nothing says that those before it') as string },
  ],
])('%s is found, by file and line', async (_what, file, change, expected) => {
  await edit(file, change);
  expect((await verify()).break).toEqual(expected);
});

test('a file that is gone is noticed at the next one', async () => {
  await rm(audit.path(FIRST));
  expect((await verify()).break).toMatchObject({ file: SECOND, line: 1 });
});

test('an anchor that the chain does not confirm does not pass', async () => {
  const [four] = await audit.lines(SECOND);
  await rm(audit.path(FIRST));
  const { seq, prev } = JSON.parse(four!) as AuditRecord;
  await writeFile(audit.path('anchor.json'), JSON.stringify({ firstSeq: seq, firstPrev: prev }));
  expect((await verify()).break).toMatchObject({ file: 'anchor.json' });
});

test('an end that was cut off breaks no link, but the noted head shows it', async () => {
  const noted = (await verify()).head!;
  await edit(SECOND, (lines) => lines.slice(0, 1));
  expect((await verify()).break).toBeUndefined();
  expect((await verify(noted)).break?.problem).toContain('the end was cut off');
});

test('a log written anew from the start passes by itself, but not beside a noted head', async () => {
  const noted = (await verify()).head!;
  await audit.remove();
  audit.clock.ms -= DAY_MS;
  const log = await audit.open();
  for (let i = 0; i < 5; i += 1) await log.record(event('forged'));
  await log.close();
  expect((await verify()).break).toBeUndefined();
  expect((await verify(noted)).break?.problem).toContain('another hash than was noted');
});

test('a torn line is a break where no gateway has started since', async () => {
  const path = audit.path(SECOND);
  await writeFile(path, (await readFile(path)).subarray(0, -10));
  expect((await verify()).break).toMatchObject({ file: SECOND, line: 2 });
});

test('the program in the document comes to the same verdict', async () => {
  const document = await readFile('docs/audit.md', 'utf8');
  const program = /<!-- check -->\s*```python\n([\s\S]*?)```/.exec(document)![1]!;
  const good = await run('python3', ['-c', program, audit.directory]);
  expect([good.stderr, good.stdout.trim()]).toEqual([
    '',
    `the chain holds, its end is ${(await verify()).head!.hash}`,
  ]);
  await edit(FIRST, (lines) => lines.map((l, i) => (i === 1 ? l.replace('"alice"', '"mallory"') : l)));
  const bad = await run('python3', ['-c', program, audit.directory]);
  expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining(`${FIRST}:2 breaks the chain`)]);
});

test('the first line of all names 64 zeros', async () => {
  const [one] = await audit.lines(FIRST);
  expect((JSON.parse(one!) as AuditRecord).prev).toBe(GENESIS);
});

test('events are found by time, by who and by kind', async () => {
  const found = async (filter: Parameters<typeof findEvents>[1]) => {
    const actions: string[] = [];
    for await (const { action } of findEvents(audit.directory, filter)) actions.push(action);
    return actions;
  };
  expect(await found({})).toEqual(['one', 'two', 'three', 'four', 'five']);
  expect(await found({ sinceMs: audit.clock.ms })).toEqual(['four', 'five']);
  expect(await found({ who: '爱丽丝' })).toEqual(['four']);
  await audit.write(event('image.push'), event('imaged'));
  expect(await found({ action: 'image' })).toEqual(['image.push']);
});
