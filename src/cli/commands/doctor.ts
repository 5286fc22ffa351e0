import type { ProbeResult } from '../../server/gateway.js';
import { CONFIG_FLAG, type Command } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { printJson, printLine } from '../output.js';
import { withGateway } from '../with-gateway.js';

export const doctorCommand: Command = {
  name: 'doctor',
  positionals: [],
  flags: [CONFIG_FLAG],
  summary: 'ask Gitee read-only questions and say in plain words what is right and what is not',
  details: () =>
    'Nothing is written to Gitee. Exit code 0: nothing failed; 1: at least one probe failed.\n' +
    'What could not be found out is said to be unknown, which is no failure.\n',
  run: async (input, context) => {
    const probes = await withGateway(input, context, (operations) => operations.doctor());
    const failed = probes.filter((probe) => probe.verdict === 'failed');
    if (input.json) printJson(context, { ok: failed.length === 0, probes });
    else for (const line of probes.flatMap(probeLines)) printLine(context, line);
    return failed.length === 0 ? EXIT.ok : EXIT.found;
  },
};

function probeLines(probe: ProbeResult): string[] {
  const lines = [`${probe.verdict.padEnd(8)}${probe.name}: ${probe.answer}`];
  if (probe.nextStep !== undefined) lines.push(`${' '.repeat(8)}-> ${probe.nextStep}`);
  return lines;
}
