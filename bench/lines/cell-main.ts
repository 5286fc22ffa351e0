/**
 * One cell of the lines bench (in-network.ts). Arguments: prefix of the network, directory, name of the cell,
 * checkout. The last line of its output is the result as JSON.
 */
import { PUSH_CELLS } from './cells.js';
import { ClientHost } from './client-host.js';
import { LineNetwork } from './network.js';
import { Office } from './office.js';
import { PULL_CELLS } from './pull-cells.js';
import { runPullCell } from './pull-cell.js';
import { runPushCell } from './push-cell.js';

const [prefix, directory, name, checkout] = process.argv.slice(2) as [string, string, string, string];

async function main(): Promise<void> {
  const network = new LineNetwork(prefix);
  const office = new Office({ network, directory, checkout });
  let client: ClientHost | undefined;
  try {
    await office.start();
    client = new ClientHost(network, await office.login());
    const tools = { network, office, client, directory };
    const push = PUSH_CELLS.find((cell) => cell.name === name);
    const pull = PULL_CELLS.find((cell) => cell.name === name);
    if (push) console.log(JSON.stringify(await runPushCell(push, tools)));
    else if (pull) console.log(JSON.stringify(await runPullCell(pull, tools)));
    else throw new Error(`no cell ${name}`);
  } finally {
    client?.close();
    await office.stop();
  }
}

// The runner ends by closing standard input: nothing may be left behind.
process.stdin.resume();
process.stdin.on('end', () => process.exit(1));
await main();
process.exit(0);
