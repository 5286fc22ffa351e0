// Attacks what is said of bodies under way: how far away Gitee is, and whose bytes fill the kernel.
import { InFlight } from '../../../src/line/in-flight.js';
import { UplinkMeter } from '../../../src/line/uplink.js';
import { ManualClock } from '../../support/chunk-bench.js';
import { queuesOf } from '../../support/kernel-queues.js';

const MIB = 1024 * 1024;
const source = { name: 'images', isReady: () => true };

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

test.each([
  ['near', 5, true],
  ['far away', 400, false],
])(
  'bodies that were handed over whole and do not cross fill the kernel for others where Gitee is near (%s)',
  async (_, askingMs, isFull) => {
    const clock = new ManualClock();
    const uplink = new UplinkMeter(MIB, clock, async () => queuesOf(1.5 * MIB, 1.5 * MIB, MIB / 16));
    const flight = new InFlight(uplink, clock);
    const bodies = [1, 2, 3].map(() =>
      flight.begin({ source: source, group: '', level: 1 }, { bytes: 1.5 * MIB, isSuspect: false }),
    );
    clock.advance(askingMs);
    flight.sent(bodies[0]!, 1.5 * MIB);
    flight.sent(bodies[1]!, 1.5 * MIB);
    flight.sent(bodies[2]!, MIB / 16);
    clock.advance(300);
    await settle();
    expect(flight.isFar).toBe(!isFull);
    expect(flight.isKernelFull(1.5 * MIB)).toBe(isFull);
    for (const body of bodies) flight.end(body, true);
  },
);

test('calls of the API that are on their way make no room for more of each body in the kernel', async () => {
  const clock = new ManualClock();
  let calls: number[] = [];
  const uplink = new UplinkMeter(MIB / 4, clock, async () => queuesOf(95_000, 95_000, 95_000, ...calls));
  const flight = new InFlight(uplink, clock);
  const bodies = [1, 2, 3].map(() =>
    flight.begin({ source, group: '', level: 1 }, { bytes: 4 * MIB, isSuspect: false }),
  );
  clock.advance(400);
  for (const body of bodies) flight.sent(body, 95_000);
  clock.advance(300);
  await settle();
  expect(flight.isKernelFull(MIB / 4)).toBe(true);
  calls = [475, 474, 475, 472];
  clock.advance(300);
  await settle();
  expect(flight.isKernelFull(MIB / 4)).toBe(true);
  for (const body of bodies) flight.end(body, true);
});

test('a piece counts from when it may go out, and not when its connection has taken it', async () => {
  const clock = new ManualClock();
  const flight = new InFlight(new UplinkMeter(MIB, clock, async () => queuesOf(0)), clock);
  const bodies = [1, 2].map(() =>
    flight.begin({ source, group: '', level: 1 }, { bytes: 4 * MIB, isSuspect: false }),
  );
  for (const body of bodies) {
    flight.sends(body);
    flight.grant(body, MIB / 2);
  }
  expect(flight.isKernelFull(MIB)).toBe(true);
  flight.sent(bodies[0]!, MIB / 2);
  clock.advance(300);
  await settle();
  // It has crossed by now.
  expect(flight.isKernelFull(MIB)).toBe(false);
  // The other's connection takes nothing: what it is given does not come before the line.
  flight.grant(bodies[0]!, MIB / 2);
  expect(flight.isKernelFull(MIB)).toBe(true);
  clock.advance(20_000);
  flight.sent(bodies[0]!, 1);
  flight.grant(bodies[0]!, MIB / 2);
  expect(flight.isKernelFull(MIB)).toBe(false);
  for (const body of bodies) flight.end(body, true);
});

test('a full line does not make a near Gitee a distant one, and what was tried before says nothing', () => {
  const clock = new ManualClock();
  const flight = new InFlight(new UplinkMeter(MIB, clock), clock);
  const ask = (askingMs: number, isSuspect = false) => {
    const body = flight.begin({ source: source, group: '', level: 1 }, { bytes: MIB, isSuspect });
    clock.advance(askingMs);
    flight.sends(body);
    flight.end(body, true);
  };
  ask(10);
  for (let i = 0; i < 50; i += 1) ask(400);
  expect(flight.isFar).toBe(false);
  expect(flight.askingMs).toBe(0);
  // Half an hour later it is another line.
  for (let i = 0; i < 3; i += 1) {
    clock.advance(600_000);
    ask(400);
  }
  ask(1, true);
  expect(flight.isFar).toBe(true);
  expect(flight.askingMs).toBeGreaterThan(300);
});
