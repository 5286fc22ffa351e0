import fc from 'fast-check';
import { TIME_MS_MAX } from '../../src/format/bounds.js';
import { isoTime, isoTimes } from '../../src/s3/xml/write.js';
import { rounds } from '../support/rounds.js';

test('times one after the other are written as each alone', () => {
  const day = 24 * 60 * 60 * 1000;
  const time = fc.oneof(
    fc.integer({ min: -3 * day, max: 3 * day }),
    fc.integer({ min: 0, max: TIME_MS_MAX }),
    fc.integer({ min: 1, max: 1e12 }).map((ms) => ms + 0.75),
    fc.integer({ min: -2, max: 2 }).map((aside) => 20_000 * day + aside),
  );
  fc.assert(
    fc.property(fc.array(time, { maxLength: 20 }), (times) => {
      const text = isoTimes();
      expect(times.map((ms) => text(ms))).toEqual(times.map((ms) => isoTime(ms)));
    }),
    { numRuns: rounds(3000) },
  );
});
