/**
 * A lease on a directory as a lock file, made with O_EXCL. A holder that died without release is recognised: in the
 * same pid namespace by its pid and start time; in another one (a container that was killed) by its socket, which
 * nobody listens on any more, or by a heartbeat that has stopped where there is no socket, or where another kernel may
 * run it (a micro VM that shares the directory; or this machine was started anew).
 *
 * Invariant 1 (this file's share). Who stood still while another took over, or whose lock file somebody removed, learns
 * it before he writes or acknowledges anything: a holder keeps his file open, and the name must still be that file's.
 */
import { randomUUID } from 'node:crypto';
import { fstatSync, readFileSync, statSync, type Stats } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, rm, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isNotFound, systemCode } from '../disk/failures.js';
import type { Clock } from '../async/clock.js';
import type { Lease } from './lease.js';
import { isListenedOn, listenForLife, type LeaseSocket } from './lease-socket.js';

/** Somebody else has the directory. `holder` says who. */
export class LeaseHeldError extends Error {
  override readonly name = 'LeaseHeldError';
  constructor(
    readonly path: string,
    readonly holder: string,
  ) {
    super(`${path} is held by ${holder}: stop that one first; two writers would destroy the state`);
  }
}

interface Holder {
  readonly token: string;
  readonly pid: number;
  /** Clock ticks after boot at which the process began; tells it from a later one with its pid. */
  readonly startTicks: string;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly host: string;
  /** In the same directory; none where its file system knows no sockets. */
  readonly socket?: string;
}

const FILE = 'lock';
const SOCKET = /^lock\.[0-9a-f]{8}\.sock$/;
const HEARTBEAT_MS = 5_000;
/** A heartbeat older than this has stopped. */
const STALE_MS = 30_000;
/** Two heartbeats and some: that long a start right after a restart of the machine waits. */
const OTHER_BOOT_MS = 12_000;
/** From its socket to its lock file a starter takes less. */
const STARTING_MS = 5_000;
const TAKEOVERS_MAX = 10;

type FileNumber = Pick<Stats, 'ino' | 'dev'>;

export class FileLease implements Lease {
  readonly #path: string;
  #token: string | undefined;
  /** Open as long as it is held. */
  #file: FileHandle | undefined;
  /** What the system last said of the open file. */
  #own: FileNumber | undefined;
  #lost: LeaseHeldError | undefined;
  #heartbeat: AbortController | undefined;
  #socket: LeaseSocket | undefined;

  /** @param onLost called once, when it is found to be lost: nothing in the directory may be touched any more */
  constructor(
    private readonly directory: string,
    private readonly clock: Clock,
    private readonly onLost: (error: LeaseHeldError) => void = () => {},
  ) {
    this.#path = join(directory, FILE);
  }

  /** @throws LeaseHeldError where another process holds it. */
  async acquire(): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    await this.#refuseListeners();
    for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt += 1) {
      if (await this.#create()) {
        this.#beat();
        return;
      }
      const text = await readOptional(this.#path);
      if (text === undefined) continue; // released this moment
      const holder = parseHolder(text);
      if (await this.#isAlive(holder)) throw new LeaseHeldError(this.#path, describe(holder));
      // Somebody else may take over at the same time: only the file that was judged is removed.
      if ((await readOptional(this.#path)) === text) {
        await rm(this.#path, { force: true });
        if (holder?.socket !== undefined) await rm(join(this.directory, holder.socket), { force: true });
      }
    }
    throw new LeaseHeldError(this.#path, 'several starters at once');
  }

  check(): void {
    if (this.#lost) throw this.#lost;
    if (this.#file === undefined) throw new LeaseHeldError(this.#path, 'nobody that this process knows of');
    if (this.#isNamed(this.#file)) return;
    this.#lost = new LeaseHeldError(this.#path, 'another process (the lock file is gone, or another one)');
    this.onLost(this.#lost);
    throw this.#lost;
  }

  async release(): Promise<void> {
    this.#heartbeat?.abort(new Error('the lease is released'));
    const socket = this.#socket;
    this.#socket = undefined;
    const file = this.#file;
    this.#file = undefined;
    this.#own = undefined;
    const token = this.#token;
    this.#token = undefined;
    const text = token === undefined ? undefined : await readOptional(this.#path);
    if (text !== undefined && parseHolder(text)?.token === token) await rm(this.#path, { force: true });
    await file?.close();
    await socket?.close();
  }

  async #create(): Promise<boolean> {
    if ((await readOptional(this.#path)) !== undefined) return false;
    const token = randomUUID();
    // Before the file, so that whoever reads that finds it listened on.
    const name = `${FILE}.${token.slice(0, 8)}.sock`;
    const socket = await listenForLife(this.directory, name);
    const holder: Holder = {
      token,
      pid: process.pid,
      startTicks: (await startTicks(process.pid)) ?? '',
      bootId: await bootId(),
      pidNamespace: await pidNamespace(),
      host: hostname(),
      ...(socket ? { socket: name } : {}),
    };
    try {
      const file = await open(this.#path, 'wx', 0o600);
      try {
        await file.writeFile(JSON.stringify(holder));
        await file.sync();
      } catch (e) {
        await file.close();
        throw e;
      }
      this.#file = file;
    } catch (e) {
      await socket?.close();
      if ((e as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw e;
    }
    this.#token = token;
    this.#socket = socket;
    return true;
  }

  async #isAlive(holder: Holder | undefined): Promise<boolean> {
    const beatenMs = (await mtimeMs(this.#path)) ?? 0;
    // eslint-disable-next-line no-restricted-syntax -- a file's time, of a process that may be gone
    const ageMs = this.clock.nowMs() - beatenMs;
    const mayBeat = async () =>
      ageMs < STALE_MS && (ageMs > -STALE_MS || (await this.#beats(beatenMs, STALE_MS)));
    // Cut short while it was written: a starter that died, unless it is writing at this moment.
    if (!holder) return mayBeat();
    if (holder.bootId !== (await bootId())) return ageMs < STALE_MS && this.#beats(beatenMs, OTHER_BOOT_MS);
    if (holder.pidNamespace === (await pidNamespace()))
      return holder.startTicks === (await startTicks(holder.pid));
    // The same kernel (boot): it knows. One that stands still is alive too, and would go on where it stopped.
    const isAlive =
      holder.socket === undefined ? undefined : await isListenedOn(this.directory, holder.socket);
    return isAlive ?? mayBeat();
  }

  /**
   * The last heartbeat tells nothing: the clock was set back after it, or it was the last one of before the machine was
   * started anew. Is there another?
   */
  async #beats(sinceMs: number, withinMs: number): Promise<boolean> {
    await this.clock.sleep(withinMs);
    return ((await mtimeMs(this.#path)) ?? 0) !== sinceMs;
  }

  /** Whether the lock file is still this one. An error of the disk says nothing of that: what is written meets it too. */
  #isNamed({ fd }: FileHandle): boolean {
    try {
      const named = statSync(this.#path, { throwIfNoEntry: false });
      if (!named) return false;
      // As long as it is open no other file has its number.
      if (isSameFile(named, this.#own)) return true;
      this.#own = fstatSync(fd);
      if (isSameFile(named, this.#own)) return true;
      // Some file systems (FUSE, SMB) may number a file anew with each look.
      return parseHolder(readFileSync(this.#path, 'utf8'))?.token === this.#token;
    } catch (e) {
      return !isNotFound(e);
    }
  }

  /**
   * Somebody may have removed the lock file of a process that lives: its socket is still listened on. Not that of one
   * that is starting at this moment: who gets the file is then decided there.
   */
  async #refuseListeners(): Promise<void> {
    if ((await readOptional(this.#path)) !== undefined) return;
    for (const name of await readdir(this.directory)) {
      if (!SOCKET.test(name)) continue;
      const madeMs = (await mtimeMs(join(this.directory, name))) ?? this.clock.nowMs();
      // eslint-disable-next-line no-restricted-syntax -- a file's time, of a process that may be gone
      if (Math.abs(this.clock.nowMs() - madeMs) < STARTING_MS) continue;
      const isListening = await isListenedOn(this.directory, name);
      if (isListening)
        throw new LeaseHeldError(
          this.#path,
          `the process that listens on ${name}; its lock file was removed`,
        );
      if (isListening === false) await rm(join(this.directory, name), { force: true });
    }
  }

  #beat(): void {
    const stop = new AbortController();
    this.#heartbeat = stop;
    const run = async () => {
      for (;;) {
        await this.clock.sleep(HEARTBEAT_MS, stop.signal);
        this.check();
        const now = new Date(this.clock.nowMs());
        // By the open file, never by the name: that may be another holder's. What fails once may work the next time.
        await this.#file?.utimes(now, now).catch(() => {});
      }
    };
    // Ends with the release, and with the loss, which check() has told.
    run().catch(() => {});
  }
}

function describe(holder: Holder | undefined): string {
  return holder ? `pid ${holder.pid} on ${holder.host}` : 'a process that is just starting';
}

function parseHolder(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Holder;
    if (typeof holder.token !== 'string') return undefined;
    const { socket, ...rest } = holder;
    return typeof socket === 'string' && SOCKET.test(socket) ? { ...rest, socket } : rest;
  } catch {
    return undefined; // half written
  }
}

function isSameFile(a: FileNumber, b: FileNumber | undefined): boolean {
  return a.ino === b?.ino && a.dev === b.dev;
}

/** proc(5), /proc/pid/stat: field 22 is the start time; the name in field 2 may have blanks. undefined: no process. */
async function startTicks(pid: number): Promise<string | undefined> {
  const text = await readOptional(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

async function bootId(): Promise<string> {
  return ((await readOptional('/proc/sys/kernel/random/boot_id')) ?? '').trim();
}

async function pidNamespace(): Promise<string> {
  return readlink('/proc/self/ns/pid').catch(() => '');
}

async function mtimeMs(path: string): Promise<number | undefined> {
  return stat(path).then(
    (s) => s.mtimeMs,
    () => undefined,
  );
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    if (isNotFound(e) || systemCode(e) === 'ESRCH') return undefined;
    throw e;
  }
}
