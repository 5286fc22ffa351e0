import { systemClock } from '../../../../src/async/clock.js';
import { RemoteError } from '../../../../src/gitee/errors.js';
import { linkHeaders, toLink } from '../../../../src/gitee/lfs/link.js';

const ENDPOINT = 'https://gitee.example/acme/images.git/info/lfs';
const login = () => 'Basic c2VjcmV0';

test('where Gitee is asked by https, a link by http is refused', () => {
  expect(() => toLink({ href: 'http://lfs.gitee.example/x' }, ENDPOINT, systemClock)).toThrow(RemoteError);
  expect(() =>
    toLink({ href: 'http://lfs.example/x' }, ENDPOINT.replace('https', 'http'), systemClock),
  ).not.toThrow();
});

test('a relative link is taken from the endpoint', () => {
  expect(toLink({ href: 'objects/7' }, ENDPOINT, systemClock).url.href).toBe(`${ENDPOINT}/objects/7`);
  expect(toLink({ href: '/lfs/7' }, ENDPOINT, systemClock).url.href).toBe('https://gitee.example/lfs/7');
});

test.each([
  ['https://gitee.example/lfs/7', true],
  ['https://gitee.example:8443/lfs/7', false],
  ['https://lfs.gitee.example/7', false],
  ['https://gitee.example.evil.test/7', false],
])('invariant 7: a link to %s gets the login: %s', (href, gets) => {
  const headers = linkHeaders(toLink({ href }, ENDPOINT, systemClock), ENDPOINT, login);
  expect(headers['authorization']).toBe(gets ? login() : undefined);
});
