import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ClientAnswer, ClientCall } from './client-main.js';
import { LineNetwork, type LineShape } from './network.js';

let offices = 0;

/** An office in a network of its own, told from outside what its client does. */
export class OfficeHost {
  readonly #waiting = new Map<number, (answer: ClientAnswer) => void>();
  #lastId = 0;

  private constructor(
    private readonly network: LineNetwork,
    readonly directory: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(shape: LineShape, checkout: string): Promise<OfficeHost> {
    offices += 1;
    const network = new LineNetwork(`${process.env['BENCH_PREFIX'] ?? 'lines'}${process.pid}o${offices}`);
    const directory = await mkdtemp(path.join(tmpdir(), 'lines-'));
    try {
      await network.up(shape);
      const program = fileURLToPath(new URL('office-main.ts', import.meta.url));
      const child = spawn(
        ...network.on('server', process.execPath, [
          ...['--import', 'tsx', program, network.prefix, directory, path.resolve(checkout)],
        ]),
        { stdio: ['pipe', 'pipe', 'inherit'] },
      );
      const host = new OfficeHost(network, directory, child);
      await host.#ready();
      return host;
    } catch (error) {
      await network.down();
      throw error;
    }
  }

  call(call: ClientCall): Promise<ClientAnswer> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.stdin!.write(`${JSON.stringify({ id, call })}\n`);
    });
  }

  async stop(): Promise<void> {
    const closed = once(this.child, 'close');
    this.child.stdin!.end();
    await closed;
    await this.network.down();
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.child.once('exit', (code) => {
        reject(new Error(`the office ended with ${code}, see ${this.directory}`));
        for (const [id, answer] of this.#waiting) answer({ id, seconds: 0, error: 'the office ended' });
      });
      createInterface({ input: this.child.stdout! }).on('line', (line) => {
        if (!line.startsWith('{')) return;
        const answer = JSON.parse(line) as ClientAnswer & { ready?: boolean };
        if (answer.ready) return resolve();
        this.#waiting.get(answer.id)?.(answer);
        this.#waiting.delete(answer.id);
      });
    });
  }
}
