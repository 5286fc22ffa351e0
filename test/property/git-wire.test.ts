/** Answers of git servers, cut anywhere: what is read hangs on the bytes alone, and wrong bytes are told as such. */
import fc from 'fast-check';
import { LsRefsAnswer } from '../../src/git-wire/ls-refs.js';
import { FLUSH, NotGitError, packet, PacketParser } from '../../src/git-wire/pkt-line.js';
import { PushAnswer } from '../../src/git-wire/receive-pack.js';
import { RefAdvertisement } from '../../src/git-wire/ref-advertisement.js';
import { rounds } from '../support/rounds.js';

const seed = Number(process.env['GIT_WIRE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const parameters = { seed, numRuns: rounds(300) };

const id = fc.stringMatching(/^[0-9a-f]{40}$/);
const ref = fc.stringMatching(/^refs\/heads\/[a-z0-9/-]{1,20}$/);
const refs = fc.uniqueArray(fc.tuple(ref, id), { maxLength: 20, selector: ([name]) => name });
const special = fc.constantFrom('0000', '0001', '0002').map((text) => Buffer.from(text));
const data = fc.uint8Array({ maxLength: 300 }).map((bytes) => {
  const head = Buffer.from((bytes.length + 4).toString(16).padStart(4, '0'));
  return Buffer.concat([head, bytes]);
});

/** The stream in pieces; some are empty. */
const cut = (stream: Buffer, cuts: readonly number[]): Buffer[] => {
  const places = [0, ...cuts.map((n) => n % (stream.length + 1)), stream.length].sort((a, b) => a - b);
  return places.slice(1).map((end, i) => stream.subarray(places[i], end));
};
const cuts = fc.array(fc.nat(), { maxLength: 40 });

/** Git's packets in one side-band, anywhere. */
const banded = (stream: Buffer, at: readonly number[]) =>
  Buffer.concat(
    cut(stream, at)
      .filter((piece) => piece.length > 0)
      .flatMap((piece) => [
        Buffer.from((piece.length + 5).toString(16).padStart(4, '0')),
        Buffer.of(1),
        piece,
      ])
      .concat(FLUSH),
  );

test('packets are what was framed, wherever they are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(special, data), { maxLength: 30 }), cuts, (packets, at) => {
      const parser = new PacketParser();
      const read = cut(Buffer.concat(packets), at).flatMap((piece) =>
        [...parser.push(piece)].map((item) => (item.kind === 'data' ? item.data.toString('hex') : item.kind)),
      );
      const kinds: Record<string, string> = { '0000': 'flush', '0001': 'delimiter', '0002': 'response-end' };
      const framed = packets.map((bytes) => kinds[bytes.toString()] ?? bytes.toString('hex', 4));
      expect(read).toEqual(framed);
    }),
    parameters,
  );
});

test('a list is read as it was written, and one that breaks off is never whole', () => {
  const lists: [
    string,
    (all: readonly (readonly [string, string])[]) => Buffer,
    () => LsRefsAnswer | RefAdvertisement,
  ][] = [
    [
      'ls-refs',
      (all) => Buffer.concat([...all.map(([name, at]) => packet(`${at} ${name}\n`)), FLUSH]),
      () => new LsRefsAnswer(new PacketParser(), () => true),
    ],
    [
      'an advertisement',
      (all) =>
        Buffer.concat([
          ...[packet('# service=git-upload-pack\n'), FLUSH],
          ...all.map(([name, at], i) => packet(`${at} ${name}${i === 0 ? '\0agent=git/2 shallow' : ''}\n`)),
          FLUSH,
        ]),
      () => new RefAdvertisement(new PacketParser(), () => true),
    ],
  ];
  for (const [, write, reader] of lists)
    fc.assert(
      fc.property(refs, cuts, fc.nat(), (all, at, end) => {
        const stream = write(all);
        const whole = reader();
        for (const piece of cut(stream, at)) whole.push(piece);
        expect(whole.isWhole).toBe(true);
        expect(whole.refs).toEqual(new Map(all));
        const part = reader();
        for (const piece of cut(stream.subarray(0, end % stream.length), at)) part.push(piece);
        expect(part.isWhole).toBe(false);
      }),
      parameters,
    );
});

test('a report is read as it was written, and one that breaks off accepts nothing that it does not name', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), cuts, cuts, fc.nat(), (accepted, inBand, bands, at, end) => {
      const name = 'refs/heads/main';
      const report = Buffer.concat([
        packet('unpack ok\n'),
        packet(accepted ? `ok ${name}\n` : `ng ${name} failed to update ref\n`),
        FLUSH,
      ]);
      const stream = inBand ? banded(report, bands) : report;
      const whole = new PushAnswer();
      for (const piece of cut(stream, at)) whole.push(piece);
      expect(whole.isWhole).toBe(true);
      expect(whole.of(name)?.accepted).toBe(accepted);
      const part = new PushAnswer();
      for (const piece of cut(stream.subarray(0, end % stream.length), at)) part.push(piece);
      expect([undefined, accepted]).toContain(part.of(name)?.accepted);
    }),
    parameters,
  );
});

test('bytes of anybody are read or told not to be git', () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
    fc.array(fc.oneof(special, data), { maxLength: 20 }).map((packets) => Buffer.concat(packets)),
    fc
      .array(fc.string({ maxLength: 50 }).map(packet), { maxLength: 20 })
      .map((lines) => Buffer.concat(lines)),
  );
  fc.assert(
    fc.property(anything, cuts, (stream, at) => {
      for (const reader of [
        new LsRefsAnswer(new PacketParser(), () => true),
        new RefAdvertisement(new PacketParser(), () => true),
        new PushAnswer(),
      ])
        try {
          for (const piece of cut(stream, at)) reader.push(piece);
        } catch (e) {
          if (!(e instanceof NotGitError)) throw e;
        }
    }),
    parameters,
  );
});
