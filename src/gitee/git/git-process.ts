/**
 * Runs the git program. Each git is the leader of a process group of its own, and a stop reaches the whole
 * group: a SIGTERM to `git push` alone left the http helper running, and the push landed 40 s later
 * (docs/facts/git-at-scale.md §2). A call returns only when the group's pipes are closed, so that what it started
 * cannot act after it (invariant 6).
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { setPriority } from 'node:os';
import { onAbort } from '../../async/abort.js';
import { linkedDeadline } from '../../async/deadline.js';
import { GitFailedError } from './failures.js';
import { gitEnvironment, type ConfigEntry } from './git-environment.js';

export interface GitOptions {
  /** Further settings for this run, secrets included: they travel in the environment, never in argv. */
  readonly config?: readonly ConfigEntry[];
  readonly signal?: AbortSignal | undefined;
  /** For run(): milliseconds until the whole group is stopped. Without it only the signal ends the run. */
  readonly timeoutMs?: number;
  /** For stream(): written to git's standard input, slowly if git reads slowly. */
  readonly input?: Iterable<string> | AsyncIterable<string>;
  /** Lets everything else of the machine go first. */
  readonly background?: boolean;
}

export interface GitResult {
  /** null: ended by a signal. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Bounds of what is kept of an output (invariant 5); the end of stderr says why, so its end is kept. */
const STDOUT_MAX_BYTES = 8 << 20;
const STDERR_MAX_CHARS = 64 << 10;

/** One running git. */
export class GitProcess {
  /** Resolves when the process has ended and all of the group let go of the pipes. Never rejects. */
  readonly closed: Promise<{ exitCode: number | null; startError: Error | undefined }>;
  stderr = '';
  #over = false;
  #stopping = false;

  constructor(
    readonly child: ChildProcessWithoutNullStreams,
    readonly killGraceMs: number,
  ) {
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_MAX_CHARS);
    });
    // git may end before it has read everything (EPIPE): its status tells more than our failed write.
    child.stdin.on('error', () => {});
    this.closed = new Promise((resolve) => {
      let startError: Error | undefined;
      child.on('error', (error) => {
        startError = error;
        if (child.pid === undefined) {
          this.#over = true;
          resolve({ exitCode: null, startError });
        }
      });
      child.on('close', (exitCode) => {
        this.#over = true;
        resolve({ exitCode, startError });
      });
    });
  }

  /** Stops the whole group: TERM, after the grace KILL, and then the pipes. May be called twice. */
  stop(): void {
    if (this.#over || this.#stopping) return;
    this.#stopping = true;
    this.#signalGroup('SIGTERM');
    const kill = setTimeout(() => this.#signalGroup('SIGKILL'), this.killGraceMs);
    const letGo = setTimeout(() => {
      for (const pipe of this.child.stdio) pipe?.destroy();
    }, this.killGraceMs * 2);
    void this.closed.then(() => {
      clearTimeout(kill);
      clearTimeout(letGo);
    });
  }

  #signalGroup(signal: NodeJS.Signals): void {
    if (this.#over || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // ESRCH: everybody in the group has ended; `close` is on its way.
    }
  }
}

/** The git program on one bare repository. */
export class GitProgram {
  readonly #running = new Set<GitProcess>();
  #closed = false;

  constructor(
    readonly directory: string,
    /** Between SIGTERM and SIGKILL. */
    readonly killGraceMs = 2_000,
  ) {}

  /**
   * Runs to the end and keeps the output (at most 8 MiB). Any exit status is a result, and so is the deadline.
   * @throws the signal's reason after an abort; GitFailedError where git could not be started or said too much.
   */
  async run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    options.signal?.throwIfAborted();
    const deadline =
      options.timeoutMs === undefined ? undefined : linkedDeadline(options.timeoutMs, options.signal);
    const git = this.start(args, options, deadline?.signal ?? options.signal);
    git.child.stdin.end();
    try {
      const chunks: Buffer[] = [];
      let stdoutBytes = 0;
      git.child.stdout.on('data', (chunk: Buffer) => {
        stdoutBytes += chunk.length;
        if (stdoutBytes <= STDOUT_MAX_BYTES) chunks.push(chunk);
        else git.stop();
      });
      const { exitCode, startError } = await git.closed;
      options.signal?.throwIfAborted();
      if (startError) throw new GitFailedError(args[0] ?? '', null, startError.message);
      if (stdoutBytes > STDOUT_MAX_BYTES)
        throw new GitFailedError(args[0] ?? '', null, `more than ${STDOUT_MAX_BYTES} bytes of output`);
      return {
        exitCode,
        timedOut: deadline?.signal.aborted ?? false,
        stdout: Buffer.concat(chunks).toString('utf8'),
        stderr: git.stderr,
      };
    } finally {
      deadline?.dispose();
    }
  }

  /**
   * The output as it comes. Leaving the loop early stops git.
   * @throws GitFailedError at the end where the status is not 0; the signal's reason after an abort.
   */
  async *stream(args: readonly string[], options: GitOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    options.signal?.throwIfAborted();
    const git = this.start(args, options, options.signal);
    let inputError: unknown;
    feed(git, options.input ?? []).catch((e: unknown) => {
      inputError = e;
      git.stop();
    });
    try {
      yield* git.child.stdout as AsyncIterable<Buffer>;
      const { exitCode, startError } = await git.closed;
      options.signal?.throwIfAborted();
      if (inputError !== undefined) throw inputError as Error;
      if (exitCode !== 0)
        throw new GitFailedError(args[0] ?? '', exitCode, startError?.message ?? git.stderr);
    } finally {
      git.stop();
      await git.closed;
    }
  }

  /** Starts a git that the caller talks with, and whose input the caller ends. The signal stops it. */
  start(args: readonly string[], options: GitOptions = {}, signal?: AbortSignal): GitProcess {
    if (this.#closed) throw new GitFailedError(args[0] ?? '', null, 'the remote has been closed');
    const child = spawn('git', args, {
      cwd: this.directory,
      env: gitEnvironment(this.directory, options.config ?? []),
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const git = new GitProcess(child, this.killGraceMs);
    this.#running.add(git);
    const release = onAbort(signal, () => git.stop());
    void git.closed.then(() => {
      this.#running.delete(git);
      release();
    });
    if (options.background && child.pid !== undefined) lowerPriority(child.pid);
    return git;
  }

  /** Stops every git that runs; none is started any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.stopAll();
  }

  /** Stops every git that runs and waits for its end. */
  async stopAll(): Promise<void> {
    const running = [...this.#running];
    for (const git of running) git.stop();
    await Promise.all(running.map((git) => git.closed));
  }
}

/** Writes the input as fast as git reads it, then ends it. */
async function feed(git: GitProcess, input: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const { stdin } = git.child;
  for await (const text of input) {
    if (!stdin.writable) return;
    if (!stdin.write(text)) {
      await Promise.race([new Promise((resolve) => stdin.once('drain', resolve)), git.closed]);
    }
  }
  stdin.end();
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, 19);
  } catch {
    // The process may have ended already, or the system forbids it: maintenance then runs as anything else.
  }
}
