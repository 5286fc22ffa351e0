import { Lockout, networkOf } from '../../../src/auth/lockout.js';
import { SkippingClock } from '../gitee/http/scripted-server.js';

const LIMITS = { failures: 3, windowMs: 60_000, durationMs: 300_000 };
let clock: SkippingClock;
let lockout: Lockout;
beforeEach(() => {
  clock = new SkippingClock();
  lockout = new Lockout(LIMITS, clock);
});

test('the third failure locks the account for this address alone, until the time is over', async () => {
  expect(lockout.failed('ann', '192.0.2.1')).toEqual([]);
  expect(lockout.failed('Ann', '192.0.2.1')).toEqual([]);
  expect(lockout.failed('ANN', '192.0.2.1')).toEqual(['account']);
  expect(lockout.lockedForMs('ann', '192.0.2.1')).toBe(300_000);
  expect(lockout.lockedForMs('ann', '192.0.2.2')).toBeUndefined();
  expect(lockout.lockedForMs('bob', '192.0.2.1')).toBeUndefined();
  await clock.sleep(299_999);
  expect(lockout.lockedForMs('ann', '192.0.2.1')).toBe(1);
  await clock.sleep(1);
  expect(lockout.lockedForMs('ann', '192.0.2.1')).toBeUndefined();
});

test('failures that are older than the window do not count', async () => {
  for (let i = 0; i < 10; i += 1) {
    expect(lockout.failed('ann', '192.0.2.1')).toEqual([]);
    await clock.sleep(30_000);
  }
});

test('a success forgets the failures of the account, not those of the address', () => {
  for (let i = 0; i < 14; i += 1) {
    lockout.failed('ann', '192.0.2.1');
    lockout.succeeded('ann', '192.0.2.1');
  }
  expect(lockout.lockedForMs('ann', '192.0.2.1')).toBeUndefined();
  expect(lockout.failed('bob', '192.0.2.1')).toEqual(['address']);
  expect(lockout.lockedForMs('carol', '192.0.2.1')).toBe(300_000);
});

test('an address that tries many accounts is locked for all', () => {
  const locked = Array.from({ length: 15 }, (_, i) => lockout.failed(`account ${i}`, '192.0.2.1'));
  expect(locked.flat()).toEqual(['address']);
});

test('more failures while the lock holds neither lengthen it nor are told again', async () => {
  for (let i = 0; i < 3; i += 1) lockout.failed('ann', '192.0.2.1');
  await clock.sleep(100_000);
  for (let i = 0; i < 5; i += 1) expect(lockout.failed('ann', '192.0.2.1')).toEqual([]);
  expect(lockout.lockedForMs('ann', '192.0.2.1')).toBe(200_000);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:DB8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['', ''],
])('the network of %j is %j', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
