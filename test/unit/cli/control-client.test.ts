/** Attacks "nothing hangs without bound": commands on a gateway that stands still, or that is killed meanwhile. */
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../../../src/cli/control-client.js';
import { until } from '../../support/child.js';

let directory: string;
let server: Server;
let sockets: Socket[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'control-'));
  sockets = [];
  // The kernel takes connections for a process that stands still.
  server = createServer((socket) => sockets.push(socket.resume())).listen(join(directory, 'control.sock'));
  await once(server, 'listening');
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  server.close();
  await rm(directory, { recursive: true });
});

/** The connection is let go of, so that the command can end; a busy server meets it after that only. */
const letGo = () => until('the connection is closed', () => sockets[0]?.destroyed === true);

test('a gateway that does not answer is an error that says so, and not one that is away', async () => {
  await expect(ControlClient.connect(directory, 50)).rejects.toThrow(
    /^the gateway of .* runs, but has not answered for 0.05 s/,
  );
  await letGo();
});

test('one that begins an answer and stands still in it, too', async () => {
  server.on('connection', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{'));
  await expect(ControlClient.connect(directory, 50)).rejects.toThrow(/has not answered/);
  await letGo();
});
