// Attacks fairness with rows of claims that come new: they are served soon, and starve nobody.
import * as fc from 'fast-check';
import { FairShare } from '../../../src/line/fair-queue.js';

interface Waiting {
  tag: number;
  readonly name: string;
}

describe('fair shares', () => {
  test('for any row of new claims, one that has much to get has its share of what is served', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 60, maxLength: 60 }),
        (newOnes, sizes) => {
          const share = new FairShare();
          const large: Waiting = { tag: share.begin(), name: 'large' };
          const claims = new Set<Waiting>([large]);
          share.serve(large, 8, claims);
          let served = 0;
          let largeServed = 0;
          for (const size of sizes) {
            while (claims.size < newOnes + 1) claims.add({ tag: share.begin(), name: 'new' });
            const claim = share.next(claims, () => true)!;
            const amount = claim === large ? 8 : size;
            share.serve(claim, amount, claims);
            served += amount;
            if (claim === large) largeServed += amount;
            else claims.delete(claim);
          }
          // Who comes new is served a little sooner; two pieces less where the next one is due.
          expect(largeServed).toBeGreaterThanOrEqual(served / (newOnes + 1) / 2 - 16);
        },
      ),
    );
  });

  test('a new one comes before whoever was just served, and after whoever has waited', () => {
    const share = new FairShare();
    const [a, b] = [0, 1].map((i): Waiting => ({ tag: share.begin(), name: `${i}` })) as [Waiting, Waiting];
    const claims = new Set([a, b]);
    share.serve(a, 8, claims);
    const late: Waiting = { tag: share.begin(), name: 'late' };
    claims.add(late);
    const order: Waiting[] = [];
    while (claims.size > 0) {
      const next = share.next(claims, () => true)!;
      share.serve(next, 8, claims);
      order.push(next);
      claims.delete(next);
    }
    expect(order).toEqual([b, late, a]);
  });
});
