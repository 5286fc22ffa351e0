import { once } from 'node:events';
import * as net from 'node:net';
import { atSuiteEnd } from './suite-end.js';

/** Below the ports that the system gives to outgoing connections, so that a killed server can come back to its own. */
const FIRST = 20_000;
const BLOCK = 40;
const BLOCKS = 200;

const claims: net.Server[] = [];
let block: number | undefined;
let given = 0;

/**
 * A port nobody listens on, and that no other test file takes: of this worker or another, of another checkout or of
 * a benchmark. A block of ports is claimed by listening on its first, and the kernel gives it back with the process.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    if (block === undefined || given === BLOCK) {
      block = await claimBlock();
      given = 1;
    }
    const port = block + given++;
    const server = await listening(port);
    if (!server) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

async function claimBlock(): Promise<number> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let i = 0; i < BLOCKS; i += 1) {
    const first = FIRST + ((start + i) % BLOCKS) * BLOCK;
    const claim = await listening(first);
    if (!claim) continue;
    // It keeps nobody from ending.
    claim.unref();
    claims.push(claim);
    return first;
  }
  throw new Error('no block of ports is free');
}

/** A server on all addresses, as somebody else may listen on any; undefined where the port is taken. */
async function listening(port: number): Promise<net.Server | undefined> {
  const server = net.createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, () => resolve(server));
  });
}

atSuiteEnd(async () => {
  for (const claim of claims) claim.close();
});
