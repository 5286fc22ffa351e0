import { robotLines, robotOf } from '../../../src/cli/commands/robot.js';
import { sessionLines } from '../../../src/cli/commands/session.js';
import { UsageError, type CommandInput } from '../../../src/cli/command.js';

const input = (flags: CommandInput['flags']): CommandInput => ({ flags, positionals: [], json: false });

test('flags become rights, one a pattern, and an end', () => {
  expect(robotOf(input({ pull: 'base/*,os', push: 'team/**', expires: '12h' }), 'ci', 1000)).toEqual({
    name: 'ci',
    rights: [
      { pattern: 'base/*', actions: ['pull'] },
      { pattern: 'os', actions: ['pull'] },
      { pattern: 'team/**', actions: ['push'] },
    ],
    expiresMs: 1000 + 12 * 3600_000,
  });
});

test.each([
  [{}, 'ci', /give it something to do/],
  [{ pull: 'Team/App' }, 'ci', /pattern/],
  [{ pull: 'a', expires: 'soon' }, 'ci', /--expires/],
  [{ pull: 'a' }, 'CI robot', /name/],
])('%j for %s is a mistake on the command line', (flags, name, told) => {
  expect(() => robotOf(input(flags), name, 0)).toThrow(UsageError);
  expect(() => robotOf(input(flags), name, 0)).toThrow(told);
});

test('lists say who may still log in', () => {
  const robot = { rights: [{ pattern: 'a', actions: ['pull' as const] }], createdMs: 0 };
  const lines = robotLines(
    [
      { ...robot, name: 'on', enabled: true },
      { ...robot, name: 'off', enabled: false },
      { ...robot, name: 'over', enabled: true, expiresMs: 5 },
    ],
    10,
  );
  expect(lines.slice(1).map((line) => line.split(/ +/).slice(0, 2).join(' '))).toEqual([
    'robot$on enabled',
    'robot$off disabled',
    'robot$over expired',
  ]);
  const session = {
    ...{ id: 'abc', account: 'ann', kind: 'gitee' as const, client: '', address: '192.0.2.1' },
    ...{ createdMs: 0, usedMs: 60_000 },
  };
  expect(sessionLines([session], 120_000)[1]).toMatch(/^abc +ann +gitee +- +192\.0\.2\.1 +2m 0s +1m 0s$/);
});
