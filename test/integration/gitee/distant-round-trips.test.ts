/** What a small write waits for, one trip after the other, where Gitee is far away: counted on the way to local Gitee. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';
import { freePort } from '../../support/ports.js';

const ONE_WAY_MS = 200;

/** A line of this length. It notes when requests leave and answers arrive, both at the gateway's end. */
class DistantLine {
  /** `> name` and `< name`, in order. */
  readonly events: string[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (client) => this.#relay(client));
  }

  static async start(targetPort: number): Promise<DistantLine> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new DistantLine(server, targetPort);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(client: Socket): void {
    const upstream = connect(this.targetPort, '127.0.0.1');
    /** What the connection waits for: there is one request at a time on each. */
    let asked: string | undefined;
    client.on('data', (bytes) => {
      const name = nameOf(bytes.toString('latin1'));
      if (name !== undefined) this.events.push(`> ${(asked = name)}`);
      setTimeout(() => upstream.write(bytes), ONE_WAY_MS);
    });
    upstream.on('data', (bytes) => {
      setTimeout(() => {
        if (asked !== undefined) this.events.push(`< ${asked}`);
        asked = undefined;
        client.write(bytes);
      }, ONE_WAY_MS);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => setTimeout(() => other.destroy(), ONE_WAY_MS));
    }
  }
}

function nameOf(text: string): string | undefined {
  const match = /^(?:GET|POST|PUT) (\S+)/.exec(text);
  if (!match) return undefined;
  const last = match[1]!.replace(/\?.*/, '').split('/').at(-1)!;
  return last === 'batch' ? `batch ${/"operation":"(\w+)"/.exec(text)?.[1]}` : last;
}

let directory: string;
let gitee: RunningLocalGitee;
let line: DistantLine;
let gateway: TestGateway;
let s3: S3Client;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'distant-'));
  const ports = [await freePort(), await freePort()] as const;
  line = await DistantLine.start(ports[0]);
  const storage = `http://127.0.0.1:${ports[1]}`;
  gitee = await startLocalGitee({ behind: { ports, urls: [line.url, storage] } });
  gateway = await TestGateway.start({
    directory: path.join(directory, 'gateway'),
    gitee: { url: line.url, token: gitee.token },
    config: {
      buckets: [
        {
          name: 'files',
          repository: 'acme/files',
          branch: 'master',
          preset: 'generic',
          write_concern: 'remote',
        },
      ],
    },
  });
  s3 = gateway.s3Client();
  // Makes the branch.
  await write();
});
afterAll(async () => {
  s3.destroy();
  await gateway.stop();
  line.stop();
  await gitee.stop();
  await rm(directory, { recursive: true, force: true });
});

let written = 0;

/** Writes one small object that is a chunk; what went over the line until the answer. */
async function write(): Promise<string[]> {
  line.events.length = 0;
  written += 1;
  await s3.send(new PutObjectCommand({ Bucket: 'files', Key: `${written}`, Body: randomBytes(100_000) }));
  return [...line.events];
}

test('a chunk is asked for while its upload is verified, and the commit asks for nothing', async () => {
  // On a busy machine what was asked with the upload may be too long ago: then the commit asks as ever.
  await until('a commit asks for nothing', async () => {
    const events = await write();
    const at = (event: string) => events.indexOf(event);
    expect(at('> batch download')).toBeGreaterThan(at('< batch upload'));
    expect(at('> batch download')).toBeLessThan(at('< verify'));
    expect(at('> verify')).toBeLessThan(at('< batch download'));
    // Nothing is pushed before Gitee has said that it has the chunk, and that it is whole.
    expect(at('> git-receive-pack')).toBeGreaterThan(Math.max(at('< verify'), at('< batch download')));
    return events.filter((event) => event === '> batch download').length === 1;
  });
});

test('the branch is looked at while the server still works on the push, once its pace is known', async () => {
  // On a busy machine local Gitee may need longer at a time than before: then it is looked at after the report.
  await until('a look goes out before the report', async () => {
    const events = await write();
    expect(events.filter((event) => event === '> git-receive-pack')).toHaveLength(1);
    const look = events.indexOf('> git-upload-pack');
    expect(look).toBeGreaterThan(events.indexOf('> git-receive-pack'));
    const report = events.indexOf('< git-receive-pack');
    return report < 0 || look < report;
  });
});
