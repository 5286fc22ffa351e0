import type { FsckStep } from '../../server/gateway.js';
import { CONFIG_FLAG, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';
import { chosenBucket, withGateway } from '../with-gateway.js';

export const acceptRemoteCommand: Command = {
  name: 'accept-remote',
  positionals: [],
  flags: [
    CONFIG_FLAG,
    {
      name: 'bucket',
      type: 'string',
      value: 'NAME',
      about: 'the bucket (may be left out where there is one)',
    },
  ],
  summary: 'take what is on Gitee as the truth for a bucket that was frozen read-only',
  details: () =>
    'A bucket freezes where its branch was rewritten or somebody else deleted many keys at once. Look first:\n' +
    'this makes those deletions real here too. The old head stays in the local repository under\n' +
    'refs/gateway/keep/. Then all is checked as by fsck. Exit code 0: clean; 1: accepted, but problems were found.\n',
  run: async (input, context) => {
    const result = await withGateway(input, context, async (operations, config) => {
      const bucket = chosenBucket(input, config);
      const heads = await operations.acceptRemote(bucket);
      const steps: FsckStep[] = [];
      // Accepted is what the branch says; whether Gitee has all that it names is another question.
      for await (const step of operations.fsck({ deep: false, bucket })) steps.push(step);
      return { bucket, ...heads, problems: steps.flatMap((step) => step.problems) };
    });
    if (input.json) printJson(context, result);
    else {
      printLine(
        context,
        `${result.bucket}: now at ${result.head ?? 'an empty branch'}, before at ${result.previousHead ?? 'none'}`,
      );
      for (const problem of result.problems) printLine(context, `  ! ${problem}`);
      printLine(context, result.problems.length === 0 ? 'clean' : `${result.problems.length} problems`);
    }
    return result.problems.length === 0 ? EXIT.ok : EXIT.found;
  },
};
