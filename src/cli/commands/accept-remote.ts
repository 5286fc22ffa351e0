import type { FsckStep } from '../../server/gateway.js';
import type { KeysOf } from '../../journal/accept-preview.js';
import { CONFIG_FLAG, type Command, type CommandContext, type CommandInput } from '../command.js';
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
    { name: 'preview', type: 'boolean', about: 'say what it would do, and do nothing' },
  ],
  summary: 'take what is on Gitee as the truth for a bucket that was frozen read-only',
  details: () =>
    'A bucket freezes where its branch was rewritten or somebody else deleted many keys at once. Look first, with\n' +
    '--preview: this makes those deletions real here too. The old head stays in the local repository under\n' +
    'refs/gateway/keep/. Then all is checked as by fsck. Exit code 0: clean; 1: accepted, but problems were found.\n',
  run: async (input, context) => {
    if (input.flags.preview === true) return preview(input, context);
    const result = await withGateway(input, context, async (operations, config) => {
      const bucket = chosenBucket(input, config);
      const heads = await operations.acceptRemote({ bucket });
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

async function preview(input: CommandInput, context: CommandContext): Promise<number> {
  const result = await withGateway(input, context, async (operations, config) => {
    const bucket = chosenBucket(input, config);
    return { bucket, ...(await operations.previewAccept({ bucket })) };
  });
  if (input.json) {
    printJson(context, result);
    return EXIT.ok;
  }
  const { bucket, head, isWhole, pendingChanges, previousHead } = result;
  printLine(
    context,
    `${bucket}: would go from ${previousHead ?? 'none'} to ${head ?? 'an empty branch'}. Readers would see`,
  );
  for (const kind of ['added', 'changed', 'removed'] as const)
    printLine(context, `  ${told(result[kind], kind)}`);
  if (!isWhole) printLine(context, '  and more: counting was stopped');
  if (pendingChanges > 0)
    printLine(context, `${pendingChanges} changes wait here, and would go on top of the branch`);
  printLine(context, 'Nothing was done.');
  return EXIT.ok;
}

/** Anybody may have chosen the keys: no byte of theirs reaches the terminal as it is. */
function told({ count, some }: KeysOf, kind: string): string {
  const more = count > some.length ? ', …' : '';
  return `${count} keys ${kind}${count > 0 ? `: ${some.map((key) => JSON.stringify(key)).join(', ')}${more}` : ''}`;
}
