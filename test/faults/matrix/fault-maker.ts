/** Lets each fault of the matrix happen while its operations are asked, and ends it. */
import { once } from 'node:events';
import * as path from 'node:path';
import { mustRun, until } from '../../support/child.js';
import { FailingDisk } from '../../support/failing-disk/failing-disk.js';
import { FailingWrites } from '../../support/failing-writes/failing-writes.js';
import type { History, View } from '../../support/history/history.js';
import type { S3Bucket } from '../../support/s3-bucket.js';
import type { WireClient } from '../../support/s3-client.js';
import { SetClock } from '../../support/set-clock/set-clock.js';
import { WRITTEN_PLACES, writeFaultOf, type Fault, type LocalFault } from './faults.js';
import { withOlderState } from './older-state.js';
import { OtherGateway } from './other-gateway.js';

/** Less than what makes a signature too old (15 min), and much more than anything waits for. */
const CLOCK_SECONDS = 8 * 60;
const STANDS_STILL_MS = 3_000;

/** What happens while the fault is there. */
export interface Asking {
  /** Asks for everything at once. */
  atOnce(): Promise<unknown>;
  /** First for what is written here: what waits for Gitee waits for what was written before it too. */
  inOrder(): Promise<unknown>;
  /** How many have theirs. */
  answers(): number;
  /** Called when the process that was asked is gone. */
  serverEnded(): void;
  /** Everything of all buckets is on Gitee. */
  landed(): Promise<void>;
  /** What clients of the bucket `files` were told. */
  readonly history: History;
  /** How it is read through a gateway. */
  readonly view: (wire: WireClient) => View;
}

export class FaultMaker {
  /** Requests that each fault of local Gitee met. */
  readonly hits = new Map<string, number>();

  private constructor(
    private readonly bucket: S3Bucket,
    private readonly disk: FailingDisk,
    private readonly clock: SetClock,
    private readonly other: OtherGateway,
    private readonly writes: FailingWrites,
  ) {}

  /** @param config of the gateway */
  static async prepare(bucket: S3Bucket, config: Record<string, unknown>): Promise<FaultMaker> {
    const { directory } = bucket.stack;
    const other = await OtherGateway.prepare(bucket, config);
    const disk = await FailingDisk.prepare(path.join(directory, 'disk'), '/overlay/data.mdb');
    const clock = await SetClock.prepare(path.join(directory, 'clock'));
    const writes = await FailingWrites.prepare(path.join(directory, 'writes'));
    return new FaultMaker(bucket, disk, clock, other, writes);
  }

  async close(): Promise<void> {
    await this.other.stop();
  }

  /** For the gateway. */
  get env(): NodeJS.ProcessEnv {
    const preload = [this.disk, this.clock, this.writes].map(({ env }) => env['LD_PRELOAD']).join(':');
    return { ...this.disk.env, ...this.clock.env, ...this.writes.env, LD_PRELOAD: preload };
  }

  async during(fault: Fault, asking: Asking): Promise<void> {
    const failing = writeFaultOf(fault.name);
    if (failing) return this.#whileWritesFail(failing, asking);
    if (fault.kind === 'local') return this.#local(fault.name, asking);
    const { gitee } = this.bucket.stack;
    await gitee.fault(fault.name, fault.options);
    await asking.inOrder();
    this.hits.set(fault.name, await gitee.hits(fault.name));
    await gitee.clearFaults();
  }

  async #local(name: LocalFault['name'], asking: Asking): Promise<void> {
    const { gateway } = this.bucket.stack;
    switch (name) {
      case 'process: killed':
      case 'process: ended and started': {
        const all = asking.atOnce();
        // As soon as one has its answer: the others are at all stages then.
        await until('the first answer', () => asking.answers() > 0);
        await (name === 'process: killed' ? gateway.kill() : gateway.stop());
        asking.serverEnded();
        await all;
        return gateway.start();
      }
      case 'process: stands still': {
        gateway.child!.process.kill('SIGSTOP');
        const all = asking.inOrder();
        // eslint-disable-next-line no-restricted-syntax -- how long it stands still is the fault
        await new Promise((resolve) => setTimeout(resolve, STANDS_STILL_MS));
        gateway.child!.process.kill('SIGCONT');
        await all;
        return;
      }
      case 'disk: a sync of the journal fails': {
        const ended = once(gateway.child!.process, 'exit');
        await this.disk.nextSync('fail');
        await asking.atOnce();
        await ended;
        asking.serverEnded();
        return gateway.start();
      }
      case 'clock: set back':
      case 'clock: set forward':
        await this.clock.set(name === 'clock: set back' ? -CLOCK_SECONDS : CLOCK_SECONDS);
        await this.#isClockOff();
        await asking.inOrder();
        return this.clock.set(0);
      case 'lease: a second gateway is started': {
        const second = gateway.cli('serve');
        await asking.inOrder();
        const { code, stderr, stdout } = await second;
        if (code === 0 || !/held by/.test(stderr + stdout))
          throw new Error(`a second gateway on one state directory ended with ${code}: ${stderr}${stdout}`);
        return;
      }
      case 'writer: another gateway on the branch':
        return this.other.during(asking.history, asking.view, () => asking.inOrder());
      case 'branch: others delete most of it':
        return this.#whileFrozen(() => asking.inOrder());
      case 'state: an older copy is put back':
        return withOlderState({ ...asking, bucket: this.bucket }, () => asking.inOrder());
      default:
        await asking.inOrder();
    }
  }

  /** Whatever must be written there fails, until it is over; it may have ended the process. */
  async #whileWritesFail({ place, isFull }: NonNullable<ReturnType<typeof writeFaultOf>>, asking: Asking) {
    const { gateway } = this.bucket.stack;
    await this.writes.begin(isFull ? 'ENOSPC' : 'EIO', WRITTEN_PLACES[place]);
    try {
      await asking.inOrder();
    } finally {
      await this.writes.end();
    }
    await until('it serves again, or has ended', async () => {
      if (!gateway.child!.running) return true;
      const request = { method: 'PUT', path: '/files/here/well', body: 'well' };
      return (await this.bucket.wire.send(request).catch(() => undefined))?.status === 200;
    });
    if (gateway.child!.running) return;
    asking.serverEnded();
    await gateway.start();
  }

  /** Somebody's commit removes all objects of the bucket `files`, and is undone. */
  async #whileFrozen(run: () => Promise<unknown>): Promise<void> {
    const { gateway, gitee } = this.bucket.stack;
    const repository = path.join(gitee.dataDir, 'repositories/acme/files.git');
    const out = async (command: string, ...args: readonly string[]) =>
      (await mustRun(command, args)).stdout.trim();
    const git = (...args: readonly string[]) => out('git', '-C', repository, ...args);
    const head = await git('rev-parse', 'refs/heads/master');
    const script = 'git -C "$1" ls-tree "$2" | grep "[.]gateway$" | git -C "$1" mktree';
    const tree = await out('sh', '-c', script, 'sh', repository, head);
    const author = ['-c', 'user.name=somebody', '-c', 'user.email=somebody@example.com'];
    const commit = await git(...author, 'commit-tree', tree, '-p', head, '-m', 'all of it');
    // It looks by itself: SIGHUP would try again what operators are asked about.
    const isFrozen = async (value: number) =>
      (await gateway.metric('gateway_bucket_frozen', { bucket: 'files' })) === value;
    await git('update-ref', 'refs/heads/master', commit, head);
    await until('the bucket is frozen', () => isFrozen(1));
    await run();
    await git('update-ref', 'refs/heads/master', head, commit);
    await until('it is writable again', () => isFrozen(0));
  }

  async #isClockOff(): Promise<void> {
    // Node keeps the text of the header for a second.
    await until('the clock of the gateway is off', async () => {
      const { headers } = await this.bucket.wire.send({ method: 'GET', path: '/' });
      return Math.abs(Date.parse(headers.date!) - Date.now()) > (CLOCK_SECONDS / 2) * 1000;
    });
  }
}
