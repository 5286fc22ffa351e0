import { AuthError } from '../../../src/auth/errors.js';
import { PasswordHasher } from '../../../src/auth/accounts/password-hasher.js';
import { RobotError } from '../../../src/auth/accounts/robots.js';
import { TokenBench } from '../../support/token-bench.js';

describe('robots', () => {
  let bench: TokenBench;
  beforeEach(async () => {
    bench = await TokenBench.start();
  });
  afterEach(() => bench.stop());
  const rights = [{ pattern: 'team/**', actions: ['delete' as const] }];

  test('who may delete may pull too; nobody is shown the secret again', async () => {
    const { robot, secret } = await bench.robots.add({ name: 'ci', rights });
    expect(robot.rights).toEqual([{ pattern: 'team/**', actions: ['pull', 'delete'] }]);
    expect(JSON.stringify(await bench.robots.list())).not.toContain(secret);
    expect(Object.keys((await bench.robots.list())[0]!)).not.toContain('secret');
  });

  test('a name is taken once, and a removed one is another robot when it comes back', async () => {
    const first = await bench.robots.add({ name: 'ci', rights });
    await expect(bench.robots.add({ name: 'ci', rights })).rejects.toThrow(RobotError);
    await bench.robots.remove('ci');
    await expect(bench.robots.remove('ci')).rejects.toThrow(/no robot ci/);
    const second = await bench.robots.add({ name: 'ci', rights });
    expect(await bench.robots.verify('robot$ci', first.secret)).toBeUndefined();
    expect(await bench.robots.verify('robot$ci', second.secret)).toMatchObject({ name: 'ci' });
  });

  test('one that has expired may not log in', async () => {
    const expiresMs = bench.clock.nowMs() + 1000;
    const { secret } = await bench.robots.add({ name: 'ci', rights, expiresMs });
    expect(await bench.robots.verify('robot$ci', secret)).toBeDefined();
    await bench.clock.sleep(1000);
    expect(await bench.robots.verify('robot$ci', secret)).toBeUndefined();
  });

  test('hundreds of them are all listed', async () => {
    for (let i = 0; i < 300; i += 1)
      await bench.robots.add({ name: `r${String(i).padStart(3, '0')}`, rights });
    const names = (await bench.robots.list()).map(({ name }) => name);
    expect([names.length, names[0], names[299]]).toEqual([300, 'r000', 'r299']);
  });
});

describe('hashed passwords', () => {
  test('hold for the right password only, and are different each time', async () => {
    const hasher = new PasswordHasher(16);
    const [one, two] = [await hasher.hash('secret'), await hasher.hash('secret')];
    expect(one.hash).not.toBe(two.hash);
    expect([await hasher.verify('secret', one), await hasher.verify('secret', one)]).toEqual([true, true]);
    expect(await hasher.verify('other', one)).toBe(false);
    expect(await hasher.verify('secret', undefined)).toBe(false);
  });

  test('a flood is turned away as busy, and those inside still get their answer', async () => {
    const hasher = new PasswordHasher(2 ** 12);
    const stored = await hasher.hash('secret');
    const all = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => hasher.verify(`guess ${i}`, stored)),
    );
    const answered = all.filter(({ status }) => status === 'fulfilled');
    expect(answered).toHaveLength(34);
    for (const outcome of all)
      if (outcome.status === 'rejected') {
        expect(outcome.reason).toBeInstanceOf(AuthError);
        expect(outcome.reason).toMatchObject({ code: 'busy' });
      }
    expect(await hasher.verify('secret', stored)).toBe(true);
  });
});
