import { languageOf, TEXTS, type Language } from '../../../src/auth/page/login-texts.js';

test.each<[string | undefined, Language]>([
  [undefined, 'zh'],
  ['', 'zh'],
  ['zh-CN,zh;q=0.9,en;q=0.8', 'zh'],
  ['en-GB,en;q=0.9', 'en'],
  ['fr-FR, en;q=0.3, zh-TW;q=0.7', 'zh'],
  ['en;q=0, zh;q=0.1', 'zh'],
  ['fr', 'en'],
  ['*', 'en'],
  ['zhx, enx', 'en'],
  [`${',;q=9'.repeat(5000)}`, 'en'],
])('Accept-Language %j reads %s', (header, language) => {
  expect(languageOf(header)).toBe(language);
});

test('no text is empty, and none was left in the other language', () => {
  const texts = (value: unknown): string[] => {
    if (typeof value === 'string') return [value];
    if (typeof value === 'function') return [(value as (name: string) => string)('x')];
    return Object.entries(value as object)
      .filter(([name]) => name !== 'otherLanguage')
      .flatMap(([, inner]) => texts(inner));
  };
  const [zh, en] = [texts(TEXTS.zh), texts(TEXTS.en)];
  expect(zh.length).toBe(en.length);
  expect(zh.filter((text) => !/\p{Script=Han}/u.test(text))).toEqual([]);
  expect(en.filter((text) => !/[a-z]{2}/.test(text) || /\p{Script=Han}/u.test(text))).toEqual([]);
});
