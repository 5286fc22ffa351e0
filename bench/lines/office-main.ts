/**
 * An office that does what it is told (office-host.ts). Arguments: prefix of the network, directory, checkout. Prints a
 * line once it is ready; then a line on standard input is a call for the client, a line on standard output its answer.
 */
import { createInterface } from 'node:readline';
import { ClientHost } from './client-host.js';
import type { ClientCall } from './client-main.js';
import { LineNetwork } from './network.js';
import { Office } from './office.js';

const [prefix, directory, checkout] = process.argv.slice(2) as [string, string, string];
const network = new LineNetwork(prefix);
const office = new Office({ network, directory, checkout });
const ended = new Promise<void>((resolve) => process.stdin.once('end', resolve));
let client: ClientHost | undefined;
try {
  await office.start();
  const host = new ClientHost(network, await office.login());
  client = host;
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, call } = JSON.parse(line) as { id: number; call: ClientCall };
    void host.call(call).then((answer) => console.log(JSON.stringify({ ...answer, id })));
  });
  console.log(JSON.stringify({ ready: true }));
  await ended;
} finally {
  client?.close();
  await office.stop();
}
process.exit(0);
