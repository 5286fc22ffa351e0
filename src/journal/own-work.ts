/** What the commits of this log that stand on the branch say: which of our changes have landed. */
import type { CommitId } from '../format/ids.js';
import type { HeadRemote, OwnCommit } from '../gitee/remote.js';
import type { Claim, ClaimLog, LogIdentity } from './change-log.js';
import { SeqSet } from './seq-set.js';

export interface OwnWork {
  /** Everything up to here has landed: said by commits of versions that knew no batch ids. */
  readonly seq: number;
  readonly landed: readonly Claim[];
  /** Undecided claims that can't land any more: the branch has left their base without them. */
  readonly dead: readonly Claim[];
  /** A commit of ours that this log knows nothing of: the log went back in time. */
  readonly unknown: string | undefined;
}

/**
 * Trailers of a commit under this claim.
 * @param parent the claim's base, or a commit of another bucket that goes with it in one push
 */
export function ownTrailers(
  identity: LogIdentity,
  claim: Claim,
  parent: CommitId | null,
): (readonly [string, string])[] {
  const first = claim.seqs.first;
  // Older versions take everything up to this number for landed, so it is told only where that is so.
  const isHonest = first !== undefined && claim.floorSeq >= first;
  return [
    ['Gateway-Id', identity.id],
    ['Gateway-Epoch', String(identity.epoch)],
    ...(isHonest ? [['Journal-Seq', `${first}..${claim.floorSeq}`] as const] : []),
    ['Log-Id', identity.id],
    ['Batch-Id', claim.id],
    ['Base', baseText(parent)],
    ['Runs', identity.runs.map(({ id }) => id).join(' ')],
  ];
}

/** Looks through the commits between two heads (`since` null: all). */
export async function findOwnWork(
  source: { remote: HeadRemote; claims: ClaimLog; identity: LogIdentity },
  head: CommitId | null,
  since: CommitId | null,
): Promise<OwnWork> {
  const { remote, claims, identity } = source;
  // Nobody has committed under an id that was made a moment ago.
  if (identity.isNew && claims.isEmpty) return { seq: 0, landed: [], dead: [], unknown: undefined };
  const open = new Map(
    claims.undecided.filter(({ base }) => base !== head).map((claim) => [claim.number, claim]),
  );
  const landed: Claim[] = [];
  let seq = 0;
  let unknown: string | undefined;
  const told = head === null ? [] : remote.ownCommits(head, identity.id, since);
  for await (const commit of told) {
    const batchId = commit.trailers.get('Batch-Id');
    if (batchId === undefined) {
      // The newest one has the highest number: each is built on the one before.
      const end = seqEndOf(commit);
      if (end === undefined || seq > 0) continue;
      if (end > identity.attemptedSeq) unknown ??= `seq ${end}`;
      else seq = end;
      if (open.size === 0) break;
      continue;
    }
    // Cherry-picked or rebased by somebody: their change, not ours.
    if (commit.trailers.get('Base') !== baseText(commit.parent)) continue;
    const claim = claims.find(batchId);
    if (claim === 'unknown') unknown ??= `batch ${batchId}`;
    else if (claim !== 'forgotten') {
      landed.push(claim);
      open.delete(claim.number);
    }
    // Claims land in the order of their numbers: what is undecided and newer than this one is not below it.
    if (claim === 'forgotten') break;
    if (claim !== 'unknown' && [...open.keys()].every((number) => number > claim.number)) break;
  }
  return { seq, landed, dead: [...open.values()], unknown };
}

/**
 * Where this state is a restored snapshot: pending changes up to here are the snapshot's, later ones were written since
 * it was restored. See GatewayIdentity for why.
 */
export async function snapshotSeq(
  { remote, identity }: { remote: HeadRemote; identity: LogIdentity },
  head: CommitId,
): Promise<number> {
  const { runs } = identity;
  const own = runs[runs.length - 1]!.startSeq;
  if (runs.length === 1) return own;
  const unseen = new Map(runs.map((run) => [run.id, run]));
  for await (const { trailers } of remote.ownCommits(head, identity.id, null)) {
    for (const id of (trailers.get('Runs') ?? '').split(' ')) unseen.delete(id);
    if (unseen.size === 0) return own;
  }
  return [...unseen.values()][0]!.startSeq;
}

/** True for a commit of any gateway where it made it: cherry-picked or rebased by somebody, it is their change. */
export function isOfGateway({ trailers, parent }: OwnCommit): boolean {
  return trailers.has('Log-Id') && trailers.has('Batch-Id') && trailers.get('Base') === baseText(parent);
}

/** The changes that have landed. */
export function* landedSeqs({ seq, landed }: OwnWork): Generator<SeqSet> {
  if (seq > 0) yield SeqSet.range(0, seq);
  for (const claim of landed) yield claim.seqs;
}

/** The end of a `Journal-Seq: a..b` (or `a`), or undefined where it is none. */
export function seqEndOf({ trailers }: Pick<OwnCommit, 'trailers'>): number | undefined {
  const match = /^(\d{1,15})(?:\.\.(\d{1,15}))?$/.exec(trailers.get('Journal-Seq') ?? '');
  return match ? Number(match[2] ?? match[1]) : undefined;
}

function baseText(base: CommitId | null): string {
  return base ?? 'none';
}
