import type { FsckStep } from '../../server/gateway.js';
import { CONFIG_FLAG, textFlag, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';
import { chosenBucket, withGateway } from '../with-gateway.js';

export const fsckCommand: Command = {
  name: 'fsck',
  positionals: [],
  flags: [
    CONFIG_FLAG,
    { name: 'bucket', type: 'string', value: 'NAME', about: 'this bucket only (else all)' },
    { name: 'repair', type: 'boolean', about: 'send again what Gitee has lost and is on this disk' },
    { name: 'deep', type: 'boolean', about: 'also hash every chunk on this disk' },
  ],
  summary: 'check journal, index, chunks and what is on Gitee against each other',
  details: () => 'Changes nothing without --repair. Exit code 0: clean (now); 1: problems were found.\n',
  run: async (input, context) => {
    const steps = await withGateway(input, context, async (operations, config) => {
      const bucket = textFlag(input, 'bucket') === undefined ? {} : { bucket: chosenBucket(input, config) };
      const seen: FsckStep[] = [];
      const options = {
        deep: input.flags.deep === true,
        ...(input.flags.repair === true ? { repair: true } : {}),
        ...bucket,
      };
      for await (const step of operations.fsck(options)) {
        seen.push(step);
        if (!input.json) for (const line of stepLines(step)) printLine(context, line);
      }
      return seen;
    });
    const problems = steps.reduce((n, step) => n + step.problems.length, 0);
    if (input.json) printJson(context, { clean: problems === 0, steps });
    else printLine(context, problems === 0 ? 'clean' : `${problems} problems`);
    return problems === 0 ? EXIT.ok : EXIT.found;
  },
};

function stepLines(step: FsckStep): string[] {
  const figures = Object.entries(step.figures).map(([name, n]) => `${name} ${n}`);
  return [
    `${step.step}: ${figures.join(', ') || 'done'}`,
    ...step.problems.map((problem) => `  ! ${problem}`),
  ];
}
