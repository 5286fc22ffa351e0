import type { Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';
import { verifyClone, type BucketReport } from '../verify/verify-clone.js';

export const verifyCloneCommand: Command = {
  name: 'verify-clone',
  positionals: ['DIR'],
  flags: [],
  summary: 'check a clone of a bucket by itself: LFS objects, hashes, registry links',
  details: () =>
    'DIR is a git clone after git lfs pull. Neither the gateway nor Gitee is needed, and nothing is changed:\n' +
    'what is checked is the commit that HEAD names. Exit code 0: complete; 1: problems were found.\n',
  run: async (input, context) => {
    const report = await verifyClone(input.positionals[0]!);
    const problems = report.buckets.reduce((n, bucket) => n + bucket.problems.length, 0);
    if (input.json) printJson(context, { complete: problems === 0, ...report });
    else {
      for (const line of report.buckets.flatMap(bucketLines)) printLine(context, line);
      printLine(context, problems === 0 ? 'complete' : `${problems} problems`);
    }
    return problems === 0 ? EXIT.ok : EXIT.found;
  },
};

function bucketLines(bucket: BucketReport): string[] {
  const figures = Object.entries(bucket.figures).map(([name, n]) => `${n} ${name.replaceAll('_', ' ')}`);
  const name = bucket.prefix === '' ? 'bucket' : `bucket in ${bucket.prefix}`;
  return [`${name}: ${figures.join(', ')}`, ...bucket.problems.map((problem) => `  ! ${problem}`)];
}
