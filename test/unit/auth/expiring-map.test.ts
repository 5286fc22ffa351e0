import { AddressLimit } from '../../../src/auth/address-limit.js';
import { ExpiringMap } from '../../../src/auth/expiring-map.js';
import { SkippingClock } from '../gitee/http/scripted-server.js';

let clock: SkippingClock;
beforeEach(() => {
  clock = new SkippingClock();
});

test('a value ends after its time, and is gone once it was taken', async () => {
  const map = new ExpiringMap<number>({ lifeMs: 100, max: 10, clock });
  map.set('a', 1);
  await clock.sleep(60);
  map.set('b', 2);
  await clock.sleep(40);
  expect([map.get('a'), map.get('b'), map.size]).toEqual([undefined, 2, 1]);
  expect([map.take('b'), map.take('b')]).toEqual([2, undefined]);
});

test('the oldest makes room, and setting again makes young', () => {
  const map = new ExpiringMap<number>({ lifeMs: 100, max: 2, clock });
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual([3, undefined, 4]);
});

test('an address has so many attempts in a window, whatever others do', async () => {
  const limit = new AddressLimit({ max: 2, windowMs: 1000, clock });
  expect([limit.take('10.0.0.1'), limit.take('10.0.0.1'), limit.take('10.0.0.2')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  await clock.sleep(400);
  expect(limit.take('10.0.0.1')).toBe(600);
  await clock.sleep(600);
  expect(limit.take('10.0.0.1')).toBeUndefined();
});

test('all addresses of one network of IPv6 are one', () => {
  const limit = new AddressLimit({ max: 1, windowMs: 1000, clock });
  limit.take('2001:db8:1:2::1');
  expect(limit.take('2001:db8:1:2:ffff::9')).toBe(1000);
  expect(limit.take('2001:db8:1:3::1')).toBeUndefined();
});
