import { RESTORE_SH } from '../../format/tree-layout.js';
import type { Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson } from '../output.js';

export const restoreScriptCommand: Command = {
  name: 'restore-script',
  positionals: [],
  flags: [],
  summary: 'print restore.sh as this release has it, to be run instead of the one in a clone',
  details: () =>
    'A clone has the script, too, but whoever may push may have changed that one. Run what this prints as\n' +
    'sh restore.sh TARGET_DIR BUCKET_DIR\n',
  run: async (input, context) => {
    if (input.json) printJson(context, { script: RESTORE_SH });
    else context.stdout.write(RESTORE_SH);
    return EXIT.ok;
  },
};
