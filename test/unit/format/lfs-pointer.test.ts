import { toOid } from '../../../src/format/ids.js';
import { formatPointer, looksLikePointer, parsePointer } from '../../../src/format/lfs-pointer.js';

const oid = toOid('4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393');
const chunk = { oid, sizeBytes: 12345, volume: 0 };
// The example of git-lfs docs/spec.md, byte by byte.
const specified = `version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
`;
const bytes = (text: string) => Buffer.from(text);

describe('LFS pointers', () => {
  test('are written as the example of the specification', () => {
    expect(Buffer.from(formatPointer(chunk)).toString()).toBe(specified);
  });

  test('are not written for an empty chunk', () => {
    expect(() => formatPointer({ ...chunk, sizeBytes: 0 })).toThrow(RangeError);
  });

  test.each([
    ['as specified', specified],
    ['without the last newline', specified.trimEnd()],
    ['with carriage returns', specified.replaceAll('\n', '\r\n')],
    ['with blank lines and blanks around', `\n\t ${specified}\n \u00a0\u0085\n`],
    ['with blank lines inside', specified.replaceAll('\n', '\n\n')],
    ['with the name before git-lfs', specified.replace('https://git-lfs.github', 'https://hawser.github')],
    [
      'with the name before that',
      specified.replace('https://git-lfs.github.com/spec/v1', 'http://git-media.io/v/2'),
    ],
    ['with a size written oddly', specified.replace('size 12345', 'size +00012345')],
  ])('are read %s, as git-lfs does', (_how, text) => {
    expect(parsePointer(bytes(text))).toEqual(chunk);
    expect(looksLikePointer(bytes(text))).toBe(true);
  });

  test.each([
    ['empty', ''],
    ['without a version', specified.replace(/^version.*\n/, '')],
    ['of an unknown version', specified.replace('spec/v1', 'spec/v2')],
    ['in another order', `version https://git-lfs.github.com/spec/v1\nsize 1\noid sha256:${oid}\n`],
    ['with a fourth line', `${specified}more text\n`],
    ['with a line of one word', specified.replace('size 12345', 'size')],
    ['with a short oid', specified.replace('4d7a', '')],
    ['with an upper-case oid', specified.replace('4d7a', '4D7A')],
    ['with another hash', specified.replace('sha256', 'sha512')],
    ['with a negative size', specified.replace('12345', '-1')],
    ['with a size that is no number', specified.replace('12345', '12345 bytes')],
    ['with text before', `text\n${specified}`],
  ])('are none %s', (_how, text) => {
    expect(parsePointer(bytes(text))).toBeUndefined();
    expect(looksLikePointer(bytes(text))).toBe(false);
  });

  test('with an extension are dangerous as plain files, yet no chunk of ours', () => {
    const extended = bytes(specified.replace('oid', `ext-0-foo sha256:${oid}\noid`));
    expect(looksLikePointer(extended)).toBe(true);
    expect(parsePointer(extended)).toBeUndefined();
  });

  test('at the start of a longer file are what the smudge filter would see', () => {
    const long = Buffer.concat([bytes(specified.padEnd(1024, '\n')), bytes('and more')]);
    expect(looksLikePointer(long)).toBe(true);
    expect(parsePointer(long)).toBeUndefined();
  });

  test('of more bytes than a number holds are no chunk', () => {
    expect(parsePointer(bytes(specified.replace('12345', '9007199254740993')))).toBeUndefined();
  });
});
