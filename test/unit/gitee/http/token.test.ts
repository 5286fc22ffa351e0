import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  basicHeader,
  FileTokenSource,
  StaticTokenSource,
  withoutToken,
} from '../../../../src/gitee/token.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'token-'));
  file = join(directory, 'token');
});
afterEach(() => rm(directory, { recursive: true }));

test('a token file is read without its line end, and again when asked', async () => {
  await writeFile(file, 'first\n');
  const source = await FileTokenSource.open(file, 'me');
  expect([source.current(), source.loginName, await source.reload()]).toEqual(['first', 'me', false]);
  await writeFile(file, 'second\n');
  expect([source.current(), await source.reload(), source.current()]).toEqual(['first', true, 'second']);
});

test('a file that is empty for a moment changes nothing', async () => {
  await writeFile(file, 'first\n');
  const source = await FileTokenSource.open(file);
  await writeFile(file, '');
  expect([await source.reload(), source.current()]).toEqual([false, 'first']);
});

test('an empty or missing file is an error at the start', async () => {
  await expect(FileTokenSource.open(file)).rejects.toThrow('ENOENT');
  await writeFile(file, '\n');
  await expect(FileTokenSource.open(file)).rejects.toThrow(RangeError);
});

test('a static token never changes', async () => {
  const source = new StaticTokenSource('t');
  expect([source.current(), await source.reload()]).toEqual(['t', false]);
});

test('a Basic header is as RFC 7617 has it', () => {
  expect(basicHeader('oauth2', 'tök')).toBe('Basic b2F1dGgyOnTDtms=');
});

test.each([
  ['token abc123 here', 'token *** here'],
  [`Basic ${Buffer.from('oauth2:abc123').toString('base64')}`, 'Basic ***'],
  [`Basic ${Buffer.from('me:abc123').toString('base64')}`, 'Basic ***'],
  ['https://me:abc@host/x', 'https://***@host/x'],
  ['https://h/x?Expires=1&Signature=a%2Bb&FileName=x', 'https://h/x?Expires=1&Signature=***&FileName=x'],
  ['?access_token=zzz', '?access_token=***'],
  ['nothing', 'nothing'],
])('%s becomes %s', (text, expected) => {
  expect(withoutToken(text, 'abc123', 'me')).toBe(expected);
});
