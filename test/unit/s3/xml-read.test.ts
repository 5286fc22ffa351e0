/**
 * Attacks "what a document says does not make it grow, nor keep the event loop": whatever costs a parser much is
 * refused before it is let loose, and what stands in the documents of S3 is read.
 */
import { describe, expect, test } from '@jest/globals';
import { parseDelete } from '../../../src/s3/operations/delete-objects.js';
import { parseDocument } from '../../../src/s3/xml/read.js';

const MIB = 1024 * 1024;
const fill = (unit: string) => unit.repeat(Math.floor((4 * MIB - 200) / unit.length));
const key = (text: string) => parseDocument(Buffer.from(`<R><K>${text}</K></R>`), 'R').childText('K');
const malformed = expect.objectContaining({ code: 'MalformedXML' }) as unknown as Error;

describe('a document of 4 MiB', () => {
  test.each([
    ['text', fill('a')],
    ['references', fill('&amp;')],
    ['numeric references', fill('&#x41;')],
    ['bare ampersands', fill('&')],
    ['white space', fill('\n')],
    ['comments', fill('<!---->')],
    ['instructions', fill('<?a?>')],
    ['elements', fill('<a/>')],
    ['elements within one another', fill('<a>')],
    ['brackets', fill('>')],
    ['one attribute', `<a b="${fill('&amp;')}"/>`],
    ['attributes', `<a ${fill('b="" ')}/>`],
    ['a name', `<${fill('a:')}b/>`],
    ['a comment', `<!--${fill('-a')}-->`],
  ])('of nothing but %s is no document of S3', (_name, text) => {
    expect(() => parseDocument(Buffer.from(`<R>${text}</R>`), 'R')).toThrow(malformed);
  });

  test('of more keys than may be deleted is refused by their number', () => {
    const object = '<Object><Key>k</Key></Object>';
    expect(parseDelete(Buffer.from(`<Delete>${object.repeat(1000)}</Delete>`)).wanted).toHaveLength(1000);
    expect(() => parseDelete(Buffer.from(`<Delete>${object.repeat(40_000)}</Delete>`))).toThrow(malformed);
  });

  test('of a thousand keys that are written as references is read', () => {
    const object = `<Object><Key>${'&#x41;'.repeat(640)}</Key></Object>`;
    const { wanted } = parseDelete(Buffer.from(`<Delete>${object.repeat(1000)}</Delete>`));
    expect(wanted).toHaveLength(1000);
    expect(wanted[999]!.text).toBe('A'.repeat(640));
  });
});

test('a tag of 10 KiB is none of S3', () => {
  const doc = (sizeBytes: number) => Buffer.from(`<R><K a="${'x'.repeat(sizeBytes)}">k</K></R>`);
  expect(parseDocument(doc(1_000), 'R').childText('K')).toBe('k');
  expect(() => parseDocument(doc(10_000), 'R')).toThrow(malformed);
});

describe('references', () => {
  test.each([
    ['&amp;&lt;&gt;&quot;&apos;', `&<>"'`],
    ['&#65;&#x42;&#x1F600;', 'AB😀'],
    // What a reference makes is no other reference.
    ['&amp;lt;', '&lt;'],
    ['&#38;lt;', '&lt;'],
    ['&#x26;amp;', '&amp;'],
    ['&amp;#65;', '&#65;'],
    ['a &amp;amp; b', 'a &amp; b'],
  ])('%s', (written, meant) => {
    expect(key(written)).toBe(meant);
  });

  test.each(['&', '& ', '&nbsp;', '&amp', '&#;', '&#x;', '&#xD800;', '&#x110000;', '&#12345678;', '&AMP;'])(
    '%s is none',
    (text) => {
      expect(() => key(text)).toThrow(malformed);
    },
  );
});
