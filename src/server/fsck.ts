import { byOperator, type Audit } from '../async/audit.js';
import type { BucketParts } from '../buckets/parts.js';
import type { LfsLedger } from '../space/lfs-ledger.js';
import { RemoteError } from '../gitee/errors.js';
import type { FsckOptions, FsckStep } from './gateway.js';

/** Checks one bucket after the other; each repository is counted once. */
export async function* fsck(
  buckets: readonly BucketParts[],
  { deep, repair = false }: FsckOptions,
  { audit, ledger }: { audit: Audit; ledger: LfsLedger },
): AsyncGenerator<FsckStep> {
  const recounted = new Set<string>();
  for (const one of buckets) {
    const check = () => one.open.check({ deep, repair, chunkRemote: one.lfs });
    const { name: bucket, repository } = one.place;
    const steps = await (repair ? byOperator(audit, 'bucket.repair', bucket, check) : check());
    for (const { name, figures, problems } of steps) yield { step: `${bucket}: ${name}`, figures, problems };
    if (!deep) continue;
    const problems: string[] = [];
    for await (const { oid, problem } of one.chunks.verifyLocal()) problems.push(`chunk ${oid}: ${problem}`);
    yield { step: `${bucket}: local chunks`, figures: { bad: problems.length }, problems };
    if (recounted.has(repository)) continue;
    recounted.add(repository);
    const counted = await ledger.repository(repository);
    yield await recountStep(`${repository}: LFS objects on Gitee`, () =>
      counted.recount((chunks, signal) => one.lfs.missing(chunks, signal)),
    );
  }
}

async function recountStep(step: string, recount: () => Promise<FsckStep['figures']>): Promise<FsckStep> {
  try {
    return { step, figures: await recount(), problems: [] };
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    return { step, figures: {}, problems: [`could not be counted: ${error.message}`] };
  }
}
