import { AuthError } from '../../../src/auth/errors.js';
import { ImageRules, granted } from '../../../src/auth/token/image-rules.js';
import { robotActions } from '../../../src/auth/accounts/robots.js';
import { formatScope, isImageName, parseScopes } from '../../../src/auth/token/scopes.js';

test.each([
  ['repository:team/app:pull,push', { type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
  ['repository:host:5000/app:pull', { type: 'repository', name: 'host:5000/app', actions: ['pull'] }],
  ['repository(plugin):app:pull', { type: 'repository', class: 'plugin', name: 'app', actions: ['pull'] }],
  ['registry:catalog:*', { type: 'registry', name: 'catalog', actions: ['*'] }],
  ['repository:app:', { type: 'repository', name: 'app', actions: [] }],
])('%s is read as distribution has it', (text, scope) => {
  expect(parseScopes([text])).toEqual([scope]);
});

test('parameters and blanks separate scopes; what is asked twice is asked once', () => {
  expect(parseScopes(['repository:a:pull repository:b:pull', '', 'repository:a:push,pull'])).toEqual([
    { type: 'repository', name: 'a', actions: ['pull', 'push'] },
    { type: 'repository', name: 'b', actions: ['pull'] },
  ]);
});

test.each([
  'repository',
  'repository:app',
  ':app:pull',
  'Repository:app:pull',
  `repository:${'a'.repeat(2000)}:pull`,
])('%.30s is no scope', (text) => {
  expect(() => parseScopes([text])).toThrow(AuthError);
});

test('more than a hundred scopes are refused', () => {
  expect(() => parseScopes(Array.from({ length: 101 }, (_, i) => `repository:a${i}:pull`))).toThrow(
    /at most/,
  );
});

test('names of images are those of distribution', () => {
  for (const name of ['app', 'team/app', 'a.b/c_d/e__f/g--h', 'registry.example:5000/app'])
    expect([name, isImageName(name)]).toEqual([name, true]);
  for (const name of ['', 'team/*', '/app', 'app/', 'a..b', 'Team/App/', 'a b', 'a'.repeat(256)])
    expect([name, isImageName(name)]).toEqual([name, false]);
});

test('the most exact pattern decides, the first among equals, and the default otherwise', () => {
  const rules = new ImageRules(
    [
      { pattern: '**', repository: 'acme/all' },
      { pattern: 'team/**', repository: 'acme/team' },
      { pattern: 'team/*-base', repository: 'acme/base' },
      { pattern: 'team/app', repository: 'acme/app' },
      { pattern: 'twin/*', repository: 'acme/first' },
      { pattern: 'twin/**', repository: 'acme/second' },
    ],
    'acme/default',
  );
  const decided = ['x', 'team/x/y', 'team/os-base', 'team/app', 'twin/x', 'twin/x/y'];
  expect(decided.map((image) => rules.repositoryOf(image))).toEqual(
    ['all', 'team', 'base', 'app', 'first', 'second'].map((name) => `acme/${name}`),
  );
  expect(new ImageRules([], 'acme/default').repositoryOf('x')).toBe('acme/default');
});

test('a request for everything gets all there is; any other is cut to what is allowed', () => {
  expect(granted(['*'], ['pull', 'push'])).toEqual(['pull', 'push']);
  expect(granted(['push', 'delete', 'pull'], ['pull', 'push'])).toEqual(['push', 'pull']);
  expect(granted(['*'], [])).toEqual([]);
});

test('a robot has the actions of all patterns that match, and a pattern ends where it ends', () => {
  const rights = [
    { pattern: 'team/*', actions: ['pull' as const] },
    { pattern: 'team/app', actions: ['push' as const] },
  ];
  expect(robotActions(rights, 'team/app')).toEqual(['pull', 'push']);
  expect(robotActions(rights, 'team/other')).toEqual(['pull']);
  for (const image of ['team/app/x', 'xteam/app', 'team']) expect(robotActions(rights, image)).toEqual([]);
});

test('a scope is written as it was read', () => {
  for (const text of ['repository(plugin):host:5000/a/b:pull,push', 'registry:catalog:*'])
    expect(parseScopes([text]).map(formatScope)).toEqual([text]);
});
