import { gitEnvironment, loginConfig, withoutSecret } from '../../../../src/gitee/git/git-environment.js';

test('the login is a header for one server, and nowhere else', () => {
  const config = loginConfig('https://gitee.com/acme/images.git', 'oauth2', 'secret-token');
  const basic = Buffer.from('oauth2:secret-token').toString('base64');
  expect(config).toEqual([['http.https://gitee.com/.extraHeader', `Authorization: Basic ${basic}`]]);
  expect(loginConfig('https://gitee.com/acme/images.git', 'oauth2', '')).toEqual([]);
});

test('git sees neither the user’s configuration nor our other secrets', () => {
  const env = gitEnvironment('/repo', [['a.b', 'c']], {
    PATH: '/bin',
    GIT_DIR: '/elsewhere',
    GIT_ASKPASS: '/bin/ask',
    GATEWAY_GITEE_TOKEN: 'secret-token',
    https_proxy: 'http://proxy:8080',
  });
  expect(env['GIT_DIR']).toBe('/repo');
  expect(env['GIT_CONFIG_NOSYSTEM']).toBe('1');
  expect(env['GIT_CONFIG_GLOBAL']).toBe('/dev/null');
  expect(env['https_proxy']).toBe('http://proxy:8080');
  expect(Object.values(env).join(' ')).not.toContain('secret-token');
  expect(env['GIT_ASKPASS']).toBeUndefined();
  const last = Number(env['GIT_CONFIG_COUNT']) - 1;
  expect([env[`GIT_CONFIG_KEY_${last}`], env[`GIT_CONFIG_VALUE_${last}`]]).toEqual(['a.b', 'c']);
});

test('a secret is masked in clear, as a header and in an address', () => {
  const basic = Buffer.from('oauth2:secret-token').toString('base64');
  const text = `secret-token ${basic} https://somebody:else@gitee.com/x`;
  expect(withoutSecret(text, 'oauth2', 'secret-token')).toBe('*** *** https://***@gitee.com/x');
});
