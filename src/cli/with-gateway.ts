import type { Config } from '../server/config/config.js';
import type { Operations } from '../server/operator-calls.js';
import { UsageError, textFlag, type CommandContext, type CommandInput } from './command.js';
import { readConfiguration } from './configuration.js';
import { ControlClient } from './control-client.js';
import { withClosedGateway } from './closed-gateway.js';

/** Runs a command on the gateway that runs, or on the state directory itself where none does. */
export async function withGateway<T>(
  input: CommandInput,
  context: CommandContext,
  run: (operations: Operations, config: Config) => Promise<T>,
): Promise<T> {
  const configuration = await readConfiguration(input, context, 'error');
  const client = await ControlClient.connect(configuration.config.stateDir);
  if (!client) {
    return withClosedGateway(configuration, context, (operations) => run(operations, configuration.config));
  }
  try {
    return await run(client.operations, configuration.config);
  } finally {
    await client.close();
  }
}

/** The bucket that --bucket names, or the only one. */
export function chosenBucket(input: CommandInput, config: Config): string {
  const names = config.buckets.map((b) => b.name);
  const given = textFlag(input, 'bucket');
  if (given !== undefined) {
    // One that was made at run time stands in no configuration: the gateway knows whether there is one.
    if (names.includes(given) || config.createBuckets.repository !== undefined) return given;
    throw new UsageError(`there is no bucket ${given}: the configuration has ${names.join(', ')}.`);
  }
  if (names.length === 1) return names[0]!;
  throw new UsageError(`say which bucket with --bucket: ${names.join(', ')}.`);
}
