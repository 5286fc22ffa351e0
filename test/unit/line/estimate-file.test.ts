// Attacks what is believed of the file that keeps the line's speed over a restart.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/async/log.js';
import { EstimateFile, KEPT_MAX, KEPT_MIN } from '../../../src/line/estimate-file.js';
import { UploadLine } from '../../../src/line/upload-line.js';
import { ManualClock, RecordingMetrics } from '../../support/chunk-bench.js';

const INITIAL = 1024 * 1024;
const DAY_MS = 86_400_000;

let directory: string;
let clock: ManualClock;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'estimate-'));
  clock = new ManualClock();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function openWith(text: string): Promise<{ bytesPerSecond: number; budgetBytes: number }> {
  const estimatePath = join(directory, 'line.json');
  await writeFile(estimatePath, text);
  const line = await UploadLine.open({
    ...{ chunkSizeBytes: 8 * INITIAL, parallel: 4, uplinkInitialBytesPerSecond: INITIAL, estimatePath },
    ...{ clock, log: silentLog, metrics: new RecordingMetrics() },
  });
  try {
    return { bytesPerSecond: line.uplink.bytesPerSecond, budgetBytes: line.admission.budgetBytes() };
  } finally {
    await line.close();
  }
}

const kept = (bytesPerSecond: string, atMs = clock.nowMs()) =>
  `{"bytesPerSecond":${bytesPerSecond},"atMs":${atMs}}`;

test.each([
  ['a figure of a line', '250000', 250_000],
  ['1e308', '1e308', KEPT_MAX],
  ['a backlog of gigabytes', '9007199254740991', KEPT_MAX],
  ['a trickle', '1e-300', KEPT_MIN],
  ['one byte', '1', KEPT_MIN],
  ['infinity', '1e999', KEPT_MAX],
  ['nothing', '0', INITIAL],
  ['less than nothing', '-1e308', INITIAL],
  ['no number', '"250000"', INITIAL],
  ['null', 'null', INITIAL],
])('%s is taken as a line that somebody may have', async (_name, figure, expected) => {
  const { bytesPerSecond, budgetBytes } = await openWith(kept(figure));
  expect(bytesPerSecond).toBe(expected);
  expect(budgetBytes).toBeLessThanOrEqual(8 * KEPT_MAX);
});

test.each(['', '{', '[]', 'null', '{"bytesPerSecond":250000}', '\u0000'])(
  'a file of %j is none',
  async (text) => expect((await openWith(text)).bytesPerSecond).toBe(INITIAL),
);

test('an old figure is none; one that lies ahead, by a clock that was set back, is as good as new', async () => {
  expect((await openWith(kept('250000', clock.nowMs() - 8 * DAY_MS))).bytesPerSecond).toBe(INITIAL);
  expect((await openWith(kept('250000', clock.nowMs() + 8 * DAY_MS))).bytesPerSecond).toBe(250_000);
});

test('what is kept is what was measured', async () => {
  const path = join(directory, 'line.json');
  const file = new EstimateFile(path, clock, silentLog);
  file.start(() => 300_000);
  await file.close();
  expect(await new EstimateFile(path, clock, silentLog).read()).toBe(300_000);
});
