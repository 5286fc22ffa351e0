import { CONFIG_FLAG, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';
import { chosenBucket, withGateway } from '../with-gateway.js';

export const rebuildCommand: Command = {
  name: 'rebuild',
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
  summary: 'build the index of a bucket anew from Gitee alone',
  details: () =>
    'The old index serves until the new one is whole. Changes that wait for Gitee are not touched.\n',
  run: async (input, context) => {
    const result = await withGateway(input, context, async (operations, config) => {
      const bucket = chosenBucket(input, config);
      return { bucket, ...(await operations.rebuild({ bucket })) };
    });
    if (input.json) printJson(context, result);
    else {
      const head = result.head ?? 'an empty branch';
      printLine(
        context,
        `${result.bucket}: ${result.keys} keys from ${head} in ${result.seconds.toFixed(1)} s`,
      );
    }
    return EXIT.ok;
  },
};
