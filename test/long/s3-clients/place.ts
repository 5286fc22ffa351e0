import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { seededBytes } from '../../support/bytes.js';
import { Child, mustRun, run, type RunResult } from '../../support/child.js';
import { FaultyGateway } from '../../support/faulty-gateway.js';
import type { TestGateway } from '../../support/gateway.js';
import type { RunningLocalGitee } from '../../support/local-gitee.js';
import { encodePath, WireClient, type S3Request } from '../../support/s3-client.js';

/** Name of the gateway in these runs and in the document, on port 80. */
export const HOST = 's3.example.com';
export const ENDPOINT = `http://${HOST}`;
export const BUCKET = 'files';

export const SMALL = Buffer.from('hello, S3\n');
/** More than any client sends in one piece where it can send parts. */
export const LARGE = seededBytes('large', 20 * 1024 * 1024 + 1);

/** Where a client is tried: a home directory and a gateway of its own with an empty bucket. */
export class Place {
  readonly #wire: WireClient;
  readonly #ends: (() => Promise<unknown>)[] = [];

  constructor(
    /** Its home, and where its programs run. */
    readonly home: string,
    readonly gateway: TestGateway,
    readonly gitee: RunningLocalGitee,
    readonly env: NodeJS.ProcessEnv,
  ) {
    const { accessKeyId, secretAccessKey } = gateway;
    this.#wire = new WireClient({ endpoint: ENDPOINT, accessKeyId, secretAccessKey, region: 'us-east-1' });
  }

  /** With the key where the text of a document has placeholders. */
  filled(text: string): string {
    return text
      .replaceAll(/\bSECRET_ACCESS_KEY\b/g, this.gateway.secretAccessKey)
      .replaceAll(/\bACCESS_KEY_ID\b/g, this.gateway.accessKeyId);
  }

  path(...names: string[]): string {
    return path.join(this.home, ...names);
  }

  async write(name: string, content: Buffer | string, mode = 0o600): Promise<void> {
    await mkdir(path.dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), content);
    await chmod(this.path(name), mode);
  }

  read(name: string): Promise<Buffer> {
    return readFile(this.path(name));
  }

  /** A shell script that must succeed: its standard output. The key is in the environment of the AWS tools, too. */
  async sh(script: string, options: { user?: string } = {}): Promise<string> {
    return (await mustRun(...this.#command(script, options))).stdout;
  }

  /** A shell script that may fail. */
  trySh(script: string, options: { user?: string } = {}): Promise<RunResult> {
    return run(...this.#command(script, options));
  }

  /** A script of a language whose interpreter reads a file. */
  async script(interpreter: string, text: string): Promise<string> {
    const name = `script-${this.#scripts++}${interpreter === 'node' ? '.mjs' : ''}`;
    await this.write(name, this.filled(text), 0o600);
    return this.sh(`${interpreter === 'node' ? `'${process.execPath}'` : interpreter} ${name}`);
  }
  #scripts = 0;

  /** A program that stays until the client's last check. */
  daemon(script: string, options: { user?: string; log?: string } = {}): Child {
    const [command, args, how] = this.#command(`exec ${script}`, options);
    const child = Child.start(command, args, { ...how, logFile: this.path(options.log ?? 'daemon.log') });
    this.atEnd(() => child.stop());
    return child;
  }

  /** Another address of the gateway, in the form host:port, where requests fail as they are told to. */
  async faulty(): Promise<{ readonly gateway: FaultyGateway; readonly host: string; readonly port: string }> {
    const gateway = await FaultyGateway.start('http://127.0.0.1:80');
    this.atEnd(() => gateway.stop());
    const port = new URL(`http://${gateway.address}`).port;
    return { gateway, host: `${HOST}:${port}`, port };
  }

  /** Gives the home directory to a user: databases do not run as root. */
  async own(user: string): Promise<void> {
    await this.sh(`chown -R ${user} "$HOME"`);
  }

  atEnd(end: () => Promise<unknown>): void {
    this.#ends.unshift(end);
  }

  async close(): Promise<void> {
    for (const end of this.#ends) await end();
  }

  // What the gateway has, asked without the client.

  request(request: S3Request) {
    return this.#wire.send(request);
  }

  async put(key: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<void> {
    const answer = await this.request({
      method: 'PUT',
      path: `/${BUCKET}/${encodePath(key)}`,
      body,
      headers,
    });
    assert.equal(answer.status, 200, answer.text);
  }

  async keys(prefix = ''): Promise<string[]> {
    const query = { 'list-type': '2', prefix };
    return (await this.request({ method: 'GET', path: `/${BUCKET}`, query })).xmlAll('Key');
  }

  head(key: string) {
    return this.request({ method: 'HEAD', path: `/${BUCKET}/${encodePath(key)}` });
  }

  /** The bytes under a key are these. */
  async has(key: string, bytes: Buffer): Promise<void> {
    const answer = await this.request({ method: 'GET', path: `/${BUCKET}/${encodePath(key)}` });
    assert.equal(answer.status, 200, `${key}: ${answer.text.slice(0, 300)}`);
    assert.ok(answer.body.equals(bytes), `${key}: other bytes (${answer.body.length} of ${bytes.length})`);
  }

  /** The file has these bytes. */
  async same(name: string, bytes: Buffer): Promise<void> {
    const read = await this.read(name);
    assert.ok(read.equals(bytes), `${name}: other bytes (${read.length} of ${bytes.length})`);
  }

  /** Nothing is in the bucket. */
  async empty(): Promise<void> {
    assert.deepEqual(await this.keys(), []);
  }

  async gone(key: string): Promise<void> {
    assert.equal((await this.head(key)).status, 404, `${key} is still there`);
  }

  #command(
    script: string,
    options: { user?: string },
  ): [string, string[], { env: NodeJS.ProcessEnv; cwd: string }] {
    // What fails before it would be passed over, in spite of -e.
    assert.ok(!script.includes('&&'), 'write one command after another');
    const shell = ['bash', '-euo', 'pipefail', '-c', this.filled(script)];
    const as =
      options.user === undefined
        ? []
        : ['setpriv', `--reuid=${options.user}`, `--regid=${options.user}`, '--init-groups'];
    const [command, ...args] = [...as, ...shell];
    return [command!, args, { env: this.env, cwd: this.home }];
  }
}
