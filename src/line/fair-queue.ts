/** Who has had how much of something that is shared. */
export interface Claim {
  /** What was had, on a scale that all claims share; the least is served next. */
  tag: number;
}

/**
 * Fair shares by start-time fair queueing (Goyal, Vin, Cheng 1996): whoever comes new begins near where the last
 * one served stood, so that it is served soon and owes nothing for the time before. Its clock goes on with what is
 * served, as in weighted fair queueing: an endless row of new ones starves nobody.
 */
export class FairShare {
  #now = 0;

  /** The tag for a new claim. */
  begin(): number {
    return this.#now;
  }

  /** The claim that comes next of those that may; the first one of equals. */
  next<T extends Claim>(claims: Iterable<T>, may: (claim: T) => boolean): T | undefined {
    let best: T | undefined;
    for (const claim of claims) if ((!best || claim.tag < best.tag) && may(claim)) best = claim;
    return best;
  }

  /** The claim, one of those that contend, gets so much. */
  serve(claim: Claim, amount: number, contending: Iterable<Claim>): void {
    let others = 0;
    for (const other of contending) if (other !== claim) others += 1;
    const start = Math.max(this.#now, claim.tag);
    claim.tag = start + amount;
    // As if one more contended: the clock stays behind those that do, and who comes next is before the one served.
    this.#now = start + amount / (others + 2);
  }
}
