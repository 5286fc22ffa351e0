import { decodeFormat, encodeFormat, FormatError, SELF_VOLUME } from '../../../src/format/version.js';

const format = { version: 1, repositoryId: 4711, features: [], volumes: [SELF_VOLUME] } as const;
const golden = `{
  "version": 1,
  "repositoryId": 4711,
  "features": [],
  "volumes": [
    {
      "id": 0,
      "kind": "lfs",
      "repository": "self"
    }
  ]
}
`;

function codeOf(text: string): string | undefined {
  try {
    decodeFormat(Buffer.from(text));
    return undefined;
  } catch (e) {
    return e instanceof FormatError ? e.code : `not a FormatError: ${String(e)}`;
  }
}

describe('format.json', () => {
  test('has the documented text and is read back', () => {
    expect(Buffer.from(encodeFormat(format)).toString()).toBe(golden);
    expect(decodeFormat(Buffer.from(golden))).toEqual(format);
  });

  test('of a newer version is refused, whatever else it holds', () => {
    expect(codeOf('{"version":2}')).toBe('newer-version');
    expect(codeOf(golden.replace('"version": 1', '"version": 3'))).toBe('newer-version');
  });

  test('with a feature that nobody here knows is refused', () => {
    expect(codeOf(golden.replace('[]', '["extents"]'))).toBe('unknown-feature');
  });

  test.each([
    [
      'a second volume',
      golden.replace('"self"\n    }', '"self"\n    }, {"id":1,"kind":"git","repository":"a/b"}'),
    ],
    ['a first volume elsewhere', golden.replace('"self"', '"a/b"')],
    ['a first volume of kind git', golden.replace('"lfs"', '"git"')],
  ])('with %s is refused: chunks would be looked for in the wrong place', (_what, text) => {
    expect(codeOf(text)).toBe('unknown-feature');
  });

  test.each([
    ['empty', ''],
    ['no object', '1'],
    ['without a version', '{}'],
    ['with version 0', golden.replace('"version": 1', '"version": 0')],
    ['without a repository', golden.replace('"repositoryId": 4711,', '')],
    ['with a repository that is no number', golden.replace('4711', '"4711"')],
  ])('is damaged where it is %s', (_how, text) => {
    expect(codeOf(text)).toBe('malformed');
  });

  test('may have fields that this version ignores', () => {
    expect(decodeFormat(Buffer.from(golden.replace('{', '{ "comment": "x",')))).toEqual(format);
  });
});
