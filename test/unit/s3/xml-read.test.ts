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

describe('what is well-formed is read', () => {
  test.each([
    ['<R><K>k</K></R>', 'k'],
    ['<?xml version="1.0" encoding="UTF-8"?>\n<R><K>k</K></R>\n', 'k'],
    ['\ufeff<R>\n  <K>k</K>\r\n</R>', 'k'],
    ['<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><K>k</K></R>', 'k'],
    [`<s:R xmlns:s='u:r' a = "b"><s:K a="&amp;">k</s:K ></s:R>`, 'k'],
    ['<!-- a --><?a b?><R><!-- b --><K>k<!-- c -->l<?d?>m</K></R><!-- d -->', 'klm'],
    ['<R><K/></R>', ''],
    ['<R><K></K></R>', ''],
    ['<R><K> \n </K></R>', ' \n '],
    // XML 1.0 §2.11
    ['<R><K>a\r\nb\rc&#13;</K></R>', 'a\nb\nc\r'],
    ['<R><K>"\'>\u{1f600}</K></R>', `"'>\u{1f600}`],
    ['<R><É/><K>k</K></R>', 'k'],
    ['<R><__proto__>p</__proto__><K>k</K></R>', 'k'],
  ])('%s', (text, meant) => {
    expect(parseDocument(Buffer.from(text), 'R').childText('K')).toBe(meant);
  });

  test('children stand in the order of the document, by name', () => {
    const root = parseDocument(Buffer.from('<R><A>1</A><B>2</B>text<A>3</A></R>'), 'R');
    expect(root.names()).toEqual(['A', 'B', 'A']);
    expect(root.children('A').map((node) => node.text())).toEqual(['1', '3']);
    expect(() => root.child('A')).toThrow(malformed);
    expect(() => root.text()).toThrow(malformed);
    expect(root.child('C')).toBeUndefined();
  });
});

describe('what is not well-formed, or no document of S3, is refused', () => {
  test.each([
    '',
    ' ',
    'R',
    '<R>',
    '</R>',
    '<R',
    '<R></R',
    '<R></S>',
    '<R></R></R>',
    '<R/><R/>',
    '<R/>text',
    'text<R/>',
    '<S><R/></S>',
    '<R><A></R></A>',
    '<R><s:A></A></R>',
    '<R>< A/></R>',
    '<R><1/></R>',
    '<R><a:b:c/></R>',
    '<R><A b/></R>',
    '<R><A b=c/></R>',
    '<R><A b="c/></R>',
    '<R><A b="<"/></R>',
    '<R><A b="&"/></R>',
    '<R><A b="1"c="2"/></R>',
    '<R><A b="1" b="2"/></R>',
    '<R></R a="b">',
    '<R>a & b</R>',
    '<R>&a;<A/></R>',
    '<R><!-- a -- b --></R>',
    '<R><!-- a</R>',
    '<R><!-></R>',
    '<R><?a</R>',
    ' <?xml version="1.0"?><R/>',
    '<R><?xml version="1.0"?></R>',
    '<!DOCTYPE R><R/>',
    '<!DOCTYPE R [<!ENTITY a "b">]><R>&a;</R>',
    '<R><![CDATA[a]]></R>',
    `${'<A>'.repeat(17)}${'</A>'.repeat(17)}`,
  ])('%s', (text) => {
    expect(() => parseDocument(Buffer.from(text), 'R')).toThrow(malformed);
  });

  test('bytes that are not UTF-8', () => {
    expect(() => parseDocument(Buffer.from('<R>\xff</R>', 'latin1'), 'R')).toThrow(malformed);
  });
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
