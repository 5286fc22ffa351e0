import fc from 'fast-check';
import type { Chunk } from '../../src/format/extent.js';
import type { Oid } from '../../src/format/ids.js';
import { RemoteError } from '../../src/gitee/errors.js';
import { bytesOf, ChunkBench } from '../support/chunk-bench.js';
import { oidOf } from '../support/memory-chunk-remote.js';
import { rounds } from '../support/rounds.js';

const CHUNKS = 6;
const GONE: Chunk = { oid: 'f'.repeat(64) as Oid, sizeBytes: 1000, volume: 0 };
const HALF_AN_HOUR_MS = 1_800_000;

const some = fc.subarray([...Array(CHUNKS).keys()], { minLength: 1 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), which: some }),
  fc.record({ kind: fc.constant('lose' as const), which: some }),
  fc.record({
    kind: fc.constant('call' as const),
    name: fc.constantFrom('ensureRemote' as const, 'ensureKept' as const, 'upload' as const),
    cls: fc.constantFrom('waited' as const, 'push' as const),
    which: some,
    withGone: fc.boolean(),
    /** The caller goes away after so many turns of the event loop. */
    leavesAfter: fc.option(fc.nat({ max: 12 }), { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('fail' as const),
    code: fc.constantFrom(
      'timeout' as const,
      'server-fault' as const,
      'quota-full' as const,
      'chunk-refused' as const,
    ),
    times: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({ kind: fc.constant('forget' as const), times: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 30_000, 700_000) }),
  fc.record({ kind: fc.constant('kick' as const) }),
  fc.record({ kind: fc.constant('collect' as const) }),
);

test('whatever happened to chunks, nothing is unsent for ever but what Gitee refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 14 }), async (steps) => {
      const bench = await ChunkBench.start();
      const { chunks, clock, remote } = bench;
      const bytes = [...Array(CHUNKS).keys()].map((seed) => bytesOf(seed + 1, 500 + 100 * seed));
      const all = bytes.map((b): Chunk => ({ oid: oidOf(b), sizeBytes: b.length, volume: 0 }));
      const refused = new Set<string>();
      const put = remote.put.bind(remote);
      remote.put = (chunk, ...rest) =>
        put(chunk, ...rest).then(
          (sent) => {
            refused.delete(chunk.oid);
            return sent;
          },
          (error: unknown) => {
            if (error instanceof RemoteError && error.code === 'chunk-refused') refused.add(chunk.oid);
            throw error;
          },
        );
      try {
        for (const b of bytes.slice(1)) await bench.put(b);
        await bench.stepped(chunks.ensureRemote(all.slice(1)));
        const calls: Promise<unknown>[] = [];
        for (const s of steps) {
          if (s.kind === 'write') for (const i of s.which) await bench.put(bytes[i]!);
          else if (s.kind === 'lose') for (const i of s.which) remote.chunks.delete(all[i]!.oid);
          else if (s.kind === 'fail')
            remote.fail('put', (oids) => new RemoteError(s.code, s.code, { oids }), s.times);
          else if (s.kind === 'forget') remote.forgetPuts = s.times;
          else if (s.kind === 'wait') await bench.stepped(clock.sleep(s.ms));
          else if (s.kind === 'kick') chunks.kick();
          else if (s.kind === 'collect')
            await chunks.collect(
              async () => new Set(),
              async () => new Set(),
            );
          else {
            const client = new AbortController();
            const named = [...(s.withGone ? [GONE] : []), ...s.which.map((i) => all[i]!)];
            const asked =
              s.name === 'upload'
                ? chunks.upload(named, s.cls, client.signal)
                : chunks[s.name](named, client.signal);
            const call: Promise<unknown> = asked.catch(() => {});
            calls.push(call);
            if (s.leavesAfter === undefined) await bench.stepped(call);
            else for (let i = 0; i < s.leavesAfter; i += 1) await new Promise((go) => setImmediate(go));
            client.abort(new Error('gone'));
          }
        }
        await bench.stepped(Promise.all(calls));
        remote.heal();
        remote.forgetPuts = 0;
        await bench.stepped(clock.sleep(HALF_AN_HOUR_MS));
        const unsent = all.filter(({ oid }) => chunks.isUnsent(oid) && !refused.has(oid));
        expect(unsent).toEqual([]);
        expect(bench.line.admission.status()).toMatchObject({ unsentBytes: 0, grantedBytes: 0 });
      } finally {
        await bench.remove();
      }
    }),
    { numRuns: rounds(60) },
  );
});
