import { STORAGE_FORMAT } from '../../server/version.js';
import type { Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';

export const versionCommand: Command = {
  name: 'version',
  positionals: [],
  flags: [],
  summary: 'print the version of this program and of the storage format it writes',
  run: async (input, context) => {
    const about = { version: context.version, storage_format: STORAGE_FORMAT, node: process.version };
    if (input.json) printJson(context, about);
    else
      printLine(
        context,
        `gitee-s3 ${about.version}, storage format ${about.storage_format}, Node.js ${about.node}`,
      );
    return EXIT.ok;
  },
};
