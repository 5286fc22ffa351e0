/** Who has had how much of something that is shared. */
export interface Claim {
  /** What was had, on a scale that all claims share; the least is served next. */
  tag: number;
}

/**
 * Fair shares by start-time fair queueing (Goyal, Vin, Cheng 1996): whoever comes new begins where the last
 * one served stood, so that it is served soon and owes nothing for the time before.
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

  /** The claim gets so much. */
  serve(claim: Claim, amount: number): void {
    this.#now = Math.max(this.#now, claim.tag);
    claim.tag = Math.max(claim.tag, this.#now) + amount;
  }
}
