/**
 * Landing is known by id. Before a commit is sent, the claim that names it is durable: a random id, exactly the
 * changes it holds, and the head that the push moves the branch from. The commit carries the id and its parent, so that
 *
 * - a commit that is found on the branch says which changes landed, and only those leave the journal;
 * - a push whose outcome is not known stays undecided until the branch has moved past its base: it may land as long
 *   as the branch stands there, even seconds after the process that sent it was killed;
 * - a batch on the branch that this log never claimed proves that the log went back in time (a restored snapshot).
 *
 * Kept are the undecided claims and the newest decided ones; the number in the id tells a forgotten claim from one
 * that never was.
 */
import { randomBytes } from 'node:crypto';
import type { CommitId } from '../format/ids.js';
import { u64 } from '../index/key-bytes.js';
import type { Write } from '../index/key-value-store.js';
import { packRow, unpackRow } from '../index/record-codec.js';
import { walk } from '../index/walk.js';
import type { Claim, ClaimLog } from './change-log.js';
import type { GatewayIdentity } from './gateway-identity.js';
import type { Journal } from './journal.js';
import { SeqSet } from './seq-set.js';

const STATES = ['undecided', 'landed', 'dead'] as const satisfies readonly Claim['state'][];
/** Decided claims that are remembered. */
const DECIDED_MAX = 20;
const BATCH_ID = /^(\d{1,15})-[0-9a-f]{24}$/;

export class Claims implements ClaimLog {
  #lastNumber = 0;
  /** In order of numbers. */
  readonly #claims = new Map<number, Claim>();

  private constructor(
    private readonly journal: Journal,
    private readonly identity: GatewayIdentity,
  ) {}

  static async open(journal: Journal, identity: GatewayIdentity): Promise<Claims> {
    const claims = new Claims(journal, identity);
    for await (const { value } of walk(journal.store, journal.keys.key('claim'), journal.keys.end('claim'))) {
      const claim = decodeClaim(value);
      claims.#claims.set(claim.number, claim);
      claims.#lastNumber = claim.number;
    }
    return claims;
  }

  /** Claims whose commit may be on the branch, or may still come there; oldest first. */
  get undecided(): readonly Claim[] {
    return [...this.#claims.values()].filter(({ state }) => state === 'undecided');
  }

  /** None is remembered: at the beginning, and under a new Log-Id. */
  get isEmpty(): boolean {
    return this.#claims.size === 0;
  }

  /** Must have resolved before the push begins. */
  async make(base: CommitId | null, seqs: SeqSet, floorSeq: number): Promise<Claim> {
    const number = this.#lastNumber + 1;
    const id = `${number}-${randomBytes(12).toString('hex')}`;
    const claim: Claim = { number, id, base, seqs, floorSeq, state: 'undecided' };
    const forgotten = this.#tooMany();
    await this.journal.store.commit(
      [],
      [
        this.#write(claim),
        ...forgotten.map((old) => ({ key: this.#key(old.number), value: undefined })),
        ...this.identity.attempt(floorSeq),
        // For a start that finds the journal empty, and for older versions.
        this.journal.floorWrite(),
      ],
    );
    this.#lastNumber = number;
    for (const old of forgotten) this.#claims.delete(old.number);
    this.#claims.set(number, claim);
    return claim;
  }

  /** What a Batch-Id on the branch is to this log. */
  find(batchId: string): Claim | 'forgotten' | 'unknown' {
    const number = Number(BATCH_ID.exec(batchId)?.[1] ?? NaN);
    const claim = this.#claims.get(number);
    if (claim) return claim.id === batchId ? claim : 'unknown';
    // Only decided ones are forgotten, oldest first.
    for (const { number: oldest, state } of this.#claims.values())
      if (state !== 'undecided') return number < oldest ? 'forgotten' : 'unknown';
    return 'unknown';
  }

  /** As find, among those whose changes may still have to leave the journal. */
  get(batchId: string): Claim | undefined {
    const claim = this.find(batchId);
    return typeof claim === 'string' ? undefined : claim;
  }

  /**
   * Their commits are on the branch and in the base: exactly their changes leave the journal.
   */
  async land(claims: readonly Claim[], { carriesRuns = false } = {}): Promise<void> {
    const writes = carriesRuns ? this.identity.landed() : [];
    for (const claim of claims) {
      const isKnown = this.#claims.get(claim.number)?.id === claim.id;
      await this.journal.drop(claim.seqs, [
        ...(isKnown ? [this.#write({ ...claim, state: 'landed' })] : []),
        ...writes,
      ]);
      if (isKnown) this.#claims.set(claim.number, { ...claim, state: 'landed' });
    }
  }

  /** Their commits can't come to the branch any more, or were refused. */
  async bury(claims: readonly Claim[]): Promise<void> {
    if (claims.length === 0) return;
    const dead = claims.map((claim): Claim => ({ ...claim, state: 'dead' }));
    await this.journal.store.commit(
      [],
      dead.map((claim) => this.#write(claim)),
    );
    for (const claim of dead) this.#claims.set(claim.number, claim);
  }

  /** Under a new Log-Id none of them can be found any more. */
  async forgetAll(): Promise<void> {
    const numbers = [...this.#claims.keys()];
    await this.journal.store.commit(
      [],
      numbers.map((number) => ({ key: this.#key(number), value: undefined })),
    );
    this.#claims.clear();
    this.#lastNumber = 0;
  }

  #tooMany(): Claim[] {
    const decided = [...this.#claims.values()].filter(({ state }) => state !== 'undecided');
    // The last one stays whatever comes: it tells forgotten numbers from those that never were.
    return decided.slice(0, Math.max(0, decided.length - DECIDED_MAX));
  }

  #write(claim: Claim): Write {
    return { key: this.#key(claim.number), value: encodeClaim(claim) };
  }

  #key(number: number): Uint8Array {
    return this.journal.keys.key('claim', u64(number));
  }
}

function encodeClaim({ number, id, base, seqs, floorSeq, state }: Claim): Uint8Array {
  return packRow([1, number, id, base, seqs.toRow(), floorSeq, STATES.indexOf(state)]);
}

function decodeClaim(bytes: Uint8Array): Claim {
  const [, number, id, base, seqs, floorSeq, state] = unpackRow(bytes) as [
    number,
    number,
    string,
    CommitId | null,
    number[],
    number,
    number,
  ];
  return { number, id, base, seqs: new SeqSet(seqs), floorSeq, state: STATES[state] ?? 'undecided' };
}
