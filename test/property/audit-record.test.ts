import * as fc from 'fast-check';
import { chain, cleanEvent, decodeLine, encodeLine, GENESIS } from '../../src/audit/record.js';

const anyText = fc.string({ unit: 'binary', maxLength: 1200 });
// Lone surrogates too, which JavaScript texts may hold and UTF-8 may not.
const hostileText = fc.oneof(
  anyText,
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((c) => String.fromCharCode(...c)),
);

test('whatever is reported becomes one line of UTF-8 that reads back as the record it was', () => {
  fc.assert(
    fc.property(
      hostileText,
      hostileText,
      fc.option(hostileText, { nil: undefined }),
      fc.option(fc.dictionary(hostileText, fc.oneof(hostileText, fc.double(), fc.boolean())), {
        nil: undefined,
      }),
      (who, subject, requestId, detail) => {
        const event = {
          ...{ who, subject, action: 'login' as const, from: 'local', result: 'ok' as const },
          ...(requestId === undefined ? {} : { requestId }),
          ...(detail === undefined ? {} : { detail }),
        };
        const record = chain(cleanEvent(event, 0), { seq: 6, hash: GENESIS });
        const bytes = Buffer.from(encodeLine(record), 'utf8');
        expect(bytes.indexOf(0x0a)).toBe(bytes.length - 1);
        expect(bytes.length).toBeLessThan(400_000);
        expect(decodeLine(bytes.toString('utf8').slice(0, -1))).toEqual(record);
      },
    ),
  );
});
