import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { systemClock } from '../../../src/async/clock.js';
import { silentLog } from '../../../src/async/log.js';
import { silentMetrics } from '../../../src/async/metrics.js';
import { chain, cleanEvent, encodeLine, GENESIS } from '../../../src/audit/record.js';
import { syslogMessage } from '../../../src/audit/syslog-message.js';
import { SyslogSender, type SyslogDeps } from '../../../src/audit/syslog.js';
import { Child, until } from '../../support/child.js';
import { event } from './directory.js';

const record = (action: string, result: 'ok' | 'refused' = 'ok') =>
  chain(cleanEvent(event(action, { result, subject: '镜像' }), 0), { seq: 0, hash: GENESIS });
const quick = { ...systemClock, sleep: () => systemClock.sleep(5) };

function sender(url: string, options: Partial<SyslogDeps> = {}): SyslogSender {
  return new SyslogSender({ url, clock: quick, log: silentLog, metrics: silentMetrics, ...options });
}

function send(syslog: SyslogSender, ...actions: string[]): void {
  for (const action of actions) syslog.send(record(action), encodeLine(record(action)).trimEnd());
}

test('a message is RFC 5424: facility log audit, severity by result, the line for message', () => {
  expect(syslogMessage(record('login', 'refused'), '{}', 'my host', 7).frame).toBe(
    '<108>1 1970-01-01T00:00:00.000Z my_host gitee-s3 7 login - {}',
  );
  expect(syslogMessage(record('login'), '{}', '', 7).frame).toMatch(/^<110>1 \S+ - /);
});

test('over UDP each event is a datagram', async () => {
  const server = createSocket('udp4');
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const syslog = sender(`udp://127.0.0.1:${server.address().port}`);
  const message = once(server, 'message');
  send(syslog, 'login');
  const [datagram] = (await message) as [Buffer];
  expect(datagram.toString('utf8')).toMatch(/^<110>1 .* gitee-s3 \d+ login - \{"seq":1,.*"镜像".*\}$/);
  await syslog.close(1000);
  server.close();
});

/** Reads frames of octet counting: length, blank, so many bytes. */
class TcpSyslog {
  readonly messages: string[] = [];
  readonly sockets = new Set<Socket>();
  readonly server: Server;

  constructor() {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      let rest = Buffer.alloc(0);
      socket.on('data', (data) => {
        rest = Buffer.concat([rest, data]);
        for (;;) {
          const m = /^(\d+) /.exec(rest.toString('latin1', 0, 12));
          if (!m || rest.length < m[0].length + Number(m[1])) return;
          const end = m[0].length + Number(m[1]);
          this.messages.push(rest.toString('utf8', m[0].length, end));
          rest = rest.subarray(end);
        }
      });
    });
  }

  async listen(port = 0): Promise<number> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  get actions(): string[] {
    return this.messages.map((m) => (JSON.parse(m.slice(m.indexOf('{'))) as { action: string }).action);
  }
}

test('over TCP messages are counted in octets, and wait in order while the server is away', async () => {
  const first = new TcpSyslog();
  const port = await first.listen();
  const syslog = sender(`tcp://127.0.0.1:${port}`);
  send(syslog, 'one', 'two');
  await until('two messages came', () => first.messages.length === 2);
  await first.close();
  const second = new TcpSyslog();
  // What was sent into the dying connection is lost, as TCP syslog has it; from the reconnect on nothing is.
  send(syslog, 'three');
  await second.listen(port);
  send(syslog, 'four', 'five');
  await until('they came to the server that is back', () => second.actions.includes('five'));
  expect(first.actions).toEqual(['one', 'two']);
  expect(second.actions.slice(-2)).toEqual(['four', 'five']);
  await syslog.close(1000);
  await second.close();
});

test('what does not fit the queue is dropped and counted, and close does not wait for a dead server', async () => {
  const dropped: (number | undefined)[] = [];
  const metrics = { ...silentMetrics, count: (_: string, __?: object, n?: number) => void dropped.push(n) };
  const closed = new TcpSyslog();
  const port = await closed.listen();
  await closed.close();
  const syslog = sender(`tcp://127.0.0.1:${port}`, { queueMax: 2, metrics, clock: systemClock });
  send(syslog, 'one', 'two', 'three');
  expect(dropped).toEqual([1]);
  await syslog.close(20);
  expect(dropped).toEqual([1, 2]);
});

test('a datagram socket, as /dev/log is one, gets the messages through logger', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'syslog-'));
  const socketPath = path.join(directory, 'log');
  const out = path.join(directory, 'out');
  const program =
    'import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1])\n' +
    'print("ready",flush=True)\n' +
    'for _ in range(2): print(s.recv(65536).decode(),flush=True)';
  const server = Child.start('python3', ['-c', program, socketPath], { logFile: out });
  const received = () => readFile(out, 'utf8').catch(() => '');
  await until('the socket is there', async () => (await received()).includes('ready'));
  const syslog = sender(`unix://${socketPath}`);
  send(syslog, 'one', 'two');
  await syslog.close(5000);
  await server.exited;
  await until('both came', async () => (await received()).includes('"two"'));
  const [, one] = (await received()).split('\n');
  expect(one).toMatch(/^<110>1 \S+ \S+ gitee-s3 .*\{"seq":1,.*"one".*镜像.*\}$/);
  await rm(directory, { recursive: true, force: true });
});
