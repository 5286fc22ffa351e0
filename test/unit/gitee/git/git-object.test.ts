import {
  formatTree,
  fromByteName,
  objectId,
  parseTree,
  signature,
  toByteName,
  type Tree,
} from '../../../../src/gitee/git/git-object.js';
import { BatchOutput } from '../../../../src/gitee/git/batch-output.js';
import { LocalDamageError } from '../../../../src/gitee/git/failures.js';

const id = (digit: string) => digit.repeat(40);

test('a directory is sorted as if its name ended with a slash', () => {
  const tree: Tree = new Map([
    ['a0', { mode: '100644', id: id('1') }],
    ['a', { mode: '40000', id: id('2') }],
    ['a.b', { mode: '100644', id: id('3') }],
    ['a-b', { mode: '40000', id: id('4') }],
  ]);
  const body = formatTree(tree);
  expect([...parseTree(body).keys()]).toEqual(['a-b', 'a.b', 'a', 'a0']);
});

test('a name that is not UTF-8 survives a rewrite and has no text', () => {
  const bytes = Buffer.concat([
    Buffer.from('100644 '),
    Buffer.from([0x61, 0xff, 0xfe]),
    Buffer.from([0]),
    Buffer.alloc(20, 7),
  ]);
  const tree = parseTree(bytes);
  expect(formatTree(tree)).toEqual(bytes);
  expect(fromByteName([...tree.keys()][0]!)).toBeUndefined();
  expect(fromByteName(toByteName('é/中'))).toBe('é/中');
});

test('ids are git’s', () => {
  expect(objectId('blob', Buffer.from('hello\n'))).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
  expect(objectId('tree', formatTree(new Map()))).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
});

test('an identity cannot break the form of a commit', () => {
  expect(signature({ name: 'A\nparent <x>', email: 'a@b>\n' }, 1_700_000_000_999)).toBe(
    'Aparent x <a@b> 1700000000 +0000',
  );
});

test('a tree that breaks off is an error', () => {
  expect(() => parseTree(Buffer.from('100644 a\0short'))).toThrow('breaks off');
});

test('the output of cat-file is taken apart however it arrives', () => {
  const bodies = ['', 'hello\n', 'x'.repeat(300)];
  const output = Buffer.from(
    bodies.map((body, i) => `${id(String(i))} blob ${body.length}\n${body}\n`).join('') +
      `${id('9')} missing\n`,
  );
  for (const size of [1, 2, 7, 64, output.length]) {
    const parser = new BatchOutput();
    const got: unknown[] = [];
    for (let at = 0; at < output.length; at += size)
      for (const object of parser.push(output.subarray(at, at + size)))
        got.push(object instanceof Error ? object : object.body.toString());
    expect(got.slice(0, 3)).toEqual(bodies);
    expect(got[3]).toBeInstanceOf(LocalDamageError);
  }
});
