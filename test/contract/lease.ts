import { expect, test } from '@jest/globals';
import type { Lease } from '../../src/journal/lease.js';

/**
 * What every Lease keeps. `open` gives leases on one and the same thing; `lose` makes the first one's be taken
 * by somebody else, as after its holder was cut off.
 */
export function leaseContract(
  name: string,
  start: () => Promise<{ open: () => Lease; lose: () => Promise<void>; end: () => Promise<void> }>,
): void {
  const running = async (
    run: (parts: { open: () => Lease; lose: () => Promise<void> }) => Promise<void>,
  ): Promise<void> => {
    const parts = await start();
    await run(parts).finally(() => parts.end());
  };

  test(`${name}: one holder at a time, and the next one after the first lets go`, () =>
    running(async ({ open }) => {
      const [first, second] = [open(), open()];
      await first.acquire();
      first.check();
      await expect(second.acquire()).rejects.toThrow();
      await first.release();
      await second.acquire();
      second.check();
      await second.release();
    }));

  test(`${name}: of many that ask at once exactly one gets it`, () =>
    running(async ({ open }) => {
      const leases = Array.from({ length: 8 }, open);
      const outcomes = await Promise.allSettled(leases.map((lease) => lease.acquire()));
      const winners = leases.filter((_, i) => outcomes[i]!.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      winners[0]!.check();
      await winners[0]!.release();
    }));

  test(`${name}: a holder that lost it is told, and its release takes it from nobody`, () =>
    running(async ({ open, lose }) => {
      const first = open();
      await first.acquire();
      await lose();
      expect(() => first.check()).toThrow();
      await first.release();
      await expect(open().acquire()).rejects.toThrow();
    }));

  test(`${name}: releasing twice, or what was never held, is no error`, () =>
    running(async ({ open }) => {
      const lease = open();
      await lease.release();
      await lease.acquire();
      await lease.release();
      await lease.release();
      expect(() => lease.check()).toThrow();
    }));
}
