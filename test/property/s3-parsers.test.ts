/** Hostile input: whatever a client sends, a parser ends quickly with a value or an S3 error. */
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { announcedChecksum } from '../../src/s3/checksums.js';
import { S3Error } from '../../src/s3/errors.js';
import { entityTags, httpDateMs, readConditions } from '../../src/s3/conditions.js';
import { parseCopySource } from '../../src/s3/copy-source.js';
import { RequestHeaders, headerOfText, textOfHeader } from '../../src/s3/headers.js';
import { parseComplete } from '../../src/s3/operations/complete-multipart-upload.js';
import { parseDelete } from '../../src/s3/operations/delete-objects.js';
import { decodeContinuationToken, encodeContinuationToken } from '../../src/s3/operations/list-objects-v2.js';
import { parseCopyRange, parseRange } from '../../src/s3/range.js';
import { parseQuery, parseRequestTarget, Query } from '../../src/s3/request-target.js';
import { readAuthorization } from '../../src/s3/sigv4/authorization.js';
import { decodeAwsChunked } from '../../src/s3/sigv4/aws-chunked.js';
import { parseTagging, tagsOfHeader } from '../../src/s3/tags.js';
import { parseDocument } from '../../src/s3/xml/read.js';
import { document, element } from '../../src/s3/xml/write.js';
import { chunkedBody } from '../support/aws-chunked-body.js';
import { Fuzz } from '../support/fuzz.js';

const fuzz = new Fuzz();
afterAll(() => fuzz.report('parsers of the protocol layer'));
jest.setTimeout(fuzz.testLimitMs);

/** The value, or the S3 error; anything else thrown fails the test. */
function settle<T>(run: () => T): T | S3Error {
  try {
    return run();
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
}

const latin1 = fc.string({
  unit: fc.integer({ min: 32, max: 255 }).map((n) => String.fromCharCode(n)),
  maxLength: 300,
});

describe('parsers of the protocol layer', () => {
  test('the reader of SigV4 headers and queries survives anything', () => {
    const field = fc.constantFrom(
      'Credential=',
      'SignedHeaders=',
      'Signature=',
      'AWS4-HMAC-SHA256 ',
      ',',
      '/',
      ';',
      'aws4_request',
      'a/20260101/r/s3/aws4_request',
      'host',
      'f'.repeat(64),
    );
    const text = fc.array(fc.oneof(field, latin1), { maxLength: 12 }).map((parts) => parts.join(''));
    fuzz.assert(
      fc.property(text, text, text, (authorization, date, query) => {
        settle(() =>
          readAuthorization(
            new RequestHeaders(['Authorization', authorization, 'x-amz-date', date]),
            new Query([]),
          ),
        );
        settle(() =>
          readAuthorization(new RequestHeaders([]), parseQuery(`X-Amz-Algorithm=AWS4-HMAC-SHA256&${query}`)),
        );
      }),
      { numRuns: 500, inputsEach: 2 },
    );
  });

  test('request targets are read without a crash, and paths of any key come back', () => {
    fuzz.assert(
      fc.property(latin1, (url) => {
        settle(() => parseRequestTarget(url, 'b.example.test', 'example.test'));
      }),
    );
    fuzz.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), (key) => {
        const target = parseRequestTarget(`/bucket/${encodeURIComponent(key)}?a=b`, undefined, undefined);
        expect([target.bucket, target.keyText, target.query.get('a')]).toEqual(['bucket', key, 'b']);
      }),
    );
  });

  test('ranges are read without a crash and never end before they begin', () => {
    const text = fc.oneof(latin1, fc.stringMatching(/^bytes=\d{0,25}-\d{0,25}(,\d+-)?$/));
    fuzz.assert(
      fc.property(text, (header) => {
        const range = parseRange(header);
        if (range?.kind === 'from') {
          expect(Number.isSafeInteger(range.startBytes)).toBe(true);
          expect(range.endInclusiveBytes ?? Infinity).toBeGreaterThanOrEqual(range.startBytes);
        }
        settle(() => parseCopyRange(header));
      }),
    );
  });

  test('conditional headers, copy sources and header texts are read without a crash', () => {
    fuzz.assert(
      fc.property(latin1, (text) => {
        readConditions(
          new RequestHeaders(['If-Match', text, 'If-None-Match', text, 'If-Modified-Since', text]),
        );
        entityTags(text, 'weak');
        httpDateMs(text);
        settle(() => parseCopySource(text));
        settle(() => parseCopySource(`files/${text}`));
        settle(() => tagsOfHeader(text));
        settle(() =>
          announcedChecksum(new RequestHeaders(['x-amz-trailer', text, 'x-amz-checksum-crc32', text]), true),
        );
        headerOfText(textOfHeader(text));
      }),
    );
  });

  test('continuation tokens of any key come back, and no other text passes', () => {
    fuzz.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (key) => {
        expect(decodeContinuationToken(encodeContinuationToken(key))).toBe(key);
      }),
    );
    fuzz.assert(
      fc.property(fc.string(), (token) => {
        const decoded = settle(() => decodeContinuationToken(token));
        if (typeof decoded === 'string') expect(encodeContinuationToken(decoded)).toBe(token);
      }),
    );
  });

  test('text of any kind comes back from a document that we write', () => {
    fuzz.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 50 }), (text) => {
        const node = parseDocument(Buffer.from(document('Root', [element('Key', text)])), 'Root');
        // XML 1.0 §2.11: a bare CR LF or CR is read as LF; ours are written as references, so they stay.
        expect(node.childText('Key')).toBe(text);
      }),
    );
  });

  test('XML bodies of any form are read or refused', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '<Delete>',
        '</Delete>',
        '<Object>',
        '</Object>',
        '<Key>',
        '</Key>',
        '<Part>',
        '</Part>',
        '<ETag>',
        '<',
        '>',
        '&',
        '&#0;',
        '&#x110000;',
        '&amp;',
        '&lol;',
        '<!--',
        '-->',
        '<![CDATA[',
        ']]>',
        '<?x',
        '?>',
        '<!DOCTYPE a>',
        '/>',
        '<__proto__>',
        '</__proto__>',
        '<constructor/>',
      ),
      fc.string({ maxLength: 10 }),
    );
    fuzz.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        for (const root of ['Delete', 'CompleteMultipartUpload', 'Tagging']) {
          const bytes = Buffer.from(`<${root}>${pieces.join('')}</${root}>`);
          settle(() => parseDelete(bytes));
          settle(() => parseComplete(bytes));
          settle(() => parseTagging(bytes));
        }
      }),
      { numRuns: 300, inputsEach: 3 },
    );
  });

  test('a document of the same few pieces over and over costs no more than its length', () => {
    const piece = fc.constantFrom(
      ...[
        '<a>',
        '</a>',
        '<a/>',
        '<!-- ',
        '-->',
        '<?x',
        '?>',
        "<a b='",
        '<a b="',
        '"',
        "'",
        '&',
        '&#',
        ';',
        '<',
        '>',
      ],
      ...[
        '/>',
        '=',
        '<a ',
        ' b="c"',
        ' ',
        '</',
        '<Object>',
        '</Object>',
        '<Key>x</Key>',
        ':',
        '\u0000',
        '&amp;',
      ],
    );
    const sizeBytes = 100_000;
    fuzz.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 4 }), fc.boolean(), (pieces, isInKey) => {
        const unit = pieces.join('');
        const pumped = unit.repeat(sizeBytes / unit.length);
        const bytes = Buffer.from(`<Delete>${isInKey ? '<Object><Key>' : ''}${pumped}</Delete>`);
        const started = process.cpuUsage();
        settle(() => parseDelete(bytes));
        const { user, system } = process.cpuUsage(started);
        // Some 50 ms; the square of the length would be minutes.
        expect((user + system) / 1000).toBeLessThan(3000);
      }),
      { numRuns: 20 },
    );
  });

  test.each([
    [
      'an entity bomb',
      '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete>&b;</Delete>',
    ],
    [
      'an external entity',
      '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
    ],
    ['200,000 nested elements', '<Delete>' + '<a>'.repeat(200_000) + '</a>'.repeat(200_000) + '</Delete>'],
    ['200,000 open elements', '<Delete>' + '<a>'.repeat(200_000)],
    ['an unknown reference', '<Delete><Object><Key>&nbsp;</Key></Object></Delete>'],
    ['bytes that are not UTF-8', Buffer.from([0x3c, 0x44, 0xff, 0x3e])],
    ['500,000 elements in one', `<Delete><a>${'<b/>'.repeat(500_000)}</a></Delete>`],
    ['1 MB in the name of an element', `<Delete><${'a'.repeat(1_000_000)}/></Delete>`],
    ['100,000 attributes', `<Delete ${Array.from({ length: 100_000 }, (_, i) => `a${i}="x"`).join(' ')}/>`],
    ['800,000 references', `<Delete><Object><Key>${'&lol;'.repeat(800_000)}</Key></Object></Delete>`],
    ['tags that never close', `<Delete>${'<a</'.repeat(500_000)}`],
    ['tags that close at the very end', `<Delete>${'<a</'.repeat(500_000)}>`],
    ['nothing', ''],
    ['another root', '<Erase/>'],
    ['a surrogate as a reference', '<Delete><Object><Key>&#xD800;</Key></Object></Delete>'],
  ])('refuses %s as MalformedXML, quickly', (_what, text) => {
    // In time of the processor, since others share it.
    const started = process.cpuUsage();
    const error = settle(() => parseDelete(Buffer.from(text)));
    expect(error).toBeInstanceOf(S3Error);
    expect((error as S3Error).code).toBe('MalformedXML');
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(3000);
  });

  test('10,000 parts with checksums fit into Complete, and 10,001 do not', () => {
    const part = (n: number) =>
      `<Part><PartNumber>${n}</PartNumber><ETag>"${'a'.repeat(32)}"</ETag><ChecksumSHA256>${'A'.repeat(43)}=</ChecksumSHA256></Part>`;
    const body = (count: number) =>
      Buffer.from(
        `<CompleteMultipartUpload>${Array.from({ length: count }, (_, i) => part(i + 1)).join('')}</CompleteMultipartUpload>`,
      );
    expect(body(10_000).length).toBeLessThan(4 * 1024 * 1024);
    expect(parseComplete(body(10_000))).toHaveLength(10_000);
    expect(settle(() => parseComplete(body(10_001)))).toBeInstanceOf(S3Error);
  });
});

describe('the aws-chunked decoder', () => {
  async function* split(body: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      const end = Math.min(cut, body.length);
      if (end > at) yield body.subarray(at, end);
      at = Math.max(at, end);
    }
    yield body.subarray(at);
  }

  async function decode(
    source: AsyncIterable<Uint8Array>,
    decodedLengthBytes: number,
    announced?: string,
  ): Promise<[Buffer, ReadonlyMap<string, string>]> {
    let trailer: ReadonlyMap<string, string> = new Map();
    const pieces: Uint8Array[] = [];
    for await (const piece of decodeAwsChunked(source, {
      hasTrailer: true,
      ...(announced === undefined ? {} : { announced }),
      decodedLengthBytes,
      onTrailer: (t) => (trailer = t),
    }))
      pieces.push(piece);
    return [Buffer.concat(pieces), trailer];
  }

  test('gives the same bytes however the body is cut into pieces', async () => {
    await fuzz.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 5 }),
        fc.array(fc.nat({ max: 1500 }), { maxLength: 20 }),
        async (chunks, cuts) => {
          const whole = Buffer.concat(chunks);
          const body = chunkedBody(
            chunks.map((c) => Buffer.from(c)),
            { trailer: { 'x-amz-checksum-crc32': 'AAAAAA==' } },
          );
          const [bytes, trailer] = await decode(split(body, cuts), whole.length, 'x-amz-checksum-crc32');
          expect(bytes.equals(whole)).toBe(true);
          expect(trailer.get('x-amz-checksum-crc32')).toBe('AAAAAA==');
        },
      ),
    );
  });

  test('takes a damaged body for damaged or gives what its headers say, and never hangs', async () => {
    await fuzz.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat({ max: 400 }),
        fc.nat({ max: 255 }),
        async (bytes, at, value) => {
          const body = chunkedBody(
            [Buffer.from('some bytes'), Buffer.from(bytes)].filter((b) => b.length > 0),
            { trailer: { a: 'b' } },
          );
          if (at < body.length) body[at] = value;
          try {
            expect((await decode(split(body, [at]), 10 + bytes.length, 'a'))[0].length).toBe(
              10 + bytes.length,
            );
          } catch (error) {
            expect(error).toBeInstanceOf(S3Error);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('takes garbage for garbage', async () => {
    await fuzz.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (garbage) => {
        await expect(decode(split(Buffer.from(garbage), []), 5)).rejects.toBeInstanceOf(S3Error);
      }),
    );
  });

  test('gives up on a line that never ends', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(4096, '1');
    }
    await expect(decode(endless(), 5)).rejects.toMatchObject({ code: 'IncompleteBody' });
  });

  test('lets go of its source when its reader stops early', async () => {
    let released = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('5\r\nhello\r\n');
      } finally {
        released = true;
      }
    }
    for await (const _piece of decodeAwsChunked(source(), {
      hasTrailer: true,
      decodedLengthBytes: 1e6,
      onTrailer: () => {},
    }))
      break;
    expect(released).toBe(true);
  });
});
