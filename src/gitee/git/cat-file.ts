import { BatchOutput, type RawObject } from './batch-output.js';
import { LocalDamageError } from './failures.js';
import type { GitProcess, GitProgram } from './git-process.js';

interface Question {
  readonly id: string;
  readonly resolve: (object: RawObject) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Reads single objects through one long-lived `git cat-file --batch`: a read costs no process. Questions are
 * sent without waiting for earlier answers. If the process ends, the reads in flight fail and the next read
 * starts another. It looks for new packs by itself, so it need not be restarted after a fetch.
 */
export class CatFile {
  #git: GitProcess | undefined;
  readonly #waiting: Question[] = [];

  constructor(readonly program: GitProgram) {}

  /**
   * One object, whole in memory: for trees, commits and files whose size is known.
   * @throws LocalDamageError where it is not in the repository or cannot be read.
   */
  async read(id: string): Promise<RawObject> {
    if (!/^[0-9a-f]{40}$/.test(id)) throw new LocalDamageError(`not an object id: ${JSON.stringify(id)}`);
    const git = (this.#git ??= this.#start());
    return new Promise<RawObject>((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject });
      git.child.stdin.write(`${id}\n`);
    });
  }

  /** Ends the process; reads in flight fail. The next read starts it anew. */
  async close(): Promise<void> {
    const git = this.#git;
    this.#git = undefined;
    git?.stop();
    await git?.closed;
  }

  #start(): GitProcess {
    const git = this.program.start(['cat-file', '--batch']);
    const output = new BatchOutput();
    git.child.stdout.on('data', (chunk: Buffer) => {
      for (const answer of output.push(chunk)) {
        const question = this.#waiting.shift();
        if (!question) return;
        if (answer instanceof Error) question.reject(answer);
        else if (answer.id !== question.id)
          question.reject(new LocalDamageError(`asked for object ${question.id}, got ${answer.id}`));
        else question.resolve(answer);
      }
    });
    void git.closed.then(({ startError }) => {
      if (this.#git === git) this.#git = undefined;
      for (const question of this.#waiting.splice(0))
        question.reject(
          new LocalDamageError(
            `cat-file ended while it was asked for ${question.id}: ${git.stderr.trim()}`,
            startError,
          ),
        );
    });
    return git;
  }
}
