import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ClientAnswer, ClientCall } from './client-main.js';
import type { LineNetwork } from './network.js';
import type { RegistryLogin } from './registry-client.js';

/** Runs calls in the client's namespace (client-main.ts). */
export class ClientHost {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: ClientAnswer) => void>();
  #lastId = 0;

  constructor(network: LineNetwork, login: RegistryLogin) {
    const program = fileURLToPath(new URL('client-main.ts', import.meta.url));
    const [command, args] = network.on('client', process.execPath, ['--import', 'tsx', program]);
    this.#child = spawn(command, args, {
      // The password is no argument, and no proxy is between.
      env: { ...process.env, LINES_LOGIN: JSON.stringify(login) },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const answer = JSON.parse(line) as ClientAnswer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.#child.once('exit', (code) => {
      for (const [id, answer] of this.#waiting)
        answer({ id, seconds: 0, error: `the client ended: ${code}` });
      this.#waiting.clear();
    });
  }

  call(call: ClientCall): Promise<ClientAnswer> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin!.write(`${JSON.stringify({ id, call })}\n`);
    });
  }

  close(): void {
    this.#child.stdin!.end();
  }
}
