import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CellTools } from './cell-tools.js';
import type { ClientAnswer } from './client-main.js';
import type { PullCell, PullEvent } from './pull-cells.js';
import { digestOf, pieces, type BlobSpec } from './random-bytes.js';
import type { CellResult } from './result.js';
import { SocketWatch } from './sockets.js';
import { GatewayWatch } from './watch.js';

const LINE_FACTOR = 1.15;
const LINE_EXTRA_SECONDS = 15;
const FIRST_BYTE_SECONDS = 15;
/** Faults up to here must not end a transfer that is under way. */
const SHORT_FAULT_SECONDS = 30;
const PROBE_SECONDS = 10;
/** From then on the line is known to be gone: the idle time-out of calls to Gitee. */
const KNOWN_AFTER_SECONDS = 15;
const PROBES = 12;
/** What a refused pull is told by Retry-After. */
const ASK_AGAIN_AFTER_SECONDS = 10;
const GIVE_UP_SECONDS = 900;
const FAST_MBIT = 1000;

export async function runPullCell(cell: PullCell, tools: CellTools): Promise<CellResult> {
  const run = new PullRun(cell, tools);
  await run.prepare();
  const watch = new GatewayWatch(tools.network);
  const client = new SocketWatch(tools.network, 'client', [443]);
  const inside = new SocketWatch(tools.network, 'server', [5000, 9080, 9000]);
  const before = await statuses(tools);
  await watch.start();
  client.start();
  inside.start();
  await run.go(watch);
  await Promise.all([watch.stop(), client.stop(), inside.stop()]);
  await writeFile(path.join(tools.directory, 'samples.tsv'), watch.table);
  const after = await statuses(tools);
  return {
    ...run.result(watch),
    peakUnsentMiB: watch.peak('gateway_spool_unsent_bytes') / 1024 ** 2,
    quietClientSeconds: Math.max(client.longestSeconds, run.quietSeconds),
    quietInsideSeconds: inside.longestSeconds,
    machineLateSeconds: watch.machineLateSeconds,
    s3Refusals: after.s3Refusals - before.s3Refusals,
    clientErrors: after.clientErrors - before.clientErrors,
  };
}

async function statuses({ office }: CellTools): Promise<{ s3Refusals: number; clientErrors: number }> {
  const toClients = await office.answers('registry');
  return {
    s3Refusals: (await office.answers('s3')).get(503) ?? 0,
    clientErrors: [...toClients].reduce((sum, [status, n]) => sum + (status >= 500 ? n : 0), 0),
  };
}

class PullRun {
  readonly #problems: string[] = [];
  readonly #probeLayers: BlobSpec[];
  readonly #copyFile: string;
  #answers: ClientAnswer[] = [];
  #probeSeconds: number[] = [];
  #tookSeconds = 0;
  #isOver = false;

  constructor(
    private readonly cell: PullCell,
    private readonly tools: CellTools,
  ) {
    this.#copyFile = path.join(tools.directory, 'copied');
    // A layer each: what was asked for once may come from the cache.
    this.#probeLayers = Array.from({ length: PROBES }, (_, n) => ({
      seed: `probe ${n} ${process.pid}`,
      bytes: 1_000_000,
    }));
  }

  get quietSeconds(): number {
    return this.#most('quietMs') / 1000;
  }

  /** Pushes everything over a fast line, and makes the server forget it. */
  async prepare(): Promise<void> {
    const { cell, tools } = this;
    await tools.network.setRate(FAST_MBIT);
    for (let image = 0; image < cell.images; image += 1)
      await this.#push(repository(image), this.#layers(image));
    await this.#push('lines/probe', this.#probeLayers);
    await tools.office.forgetEverything();
    await tools.network.setRate(cell.line.mbit);
    if (!cell.besideBytes) return;
    const file = createWriteStream(this.#copyFile);
    for (const piece of pieces({ seed: cell.name, bytes: cell.besideBytes })) {
      if (!file.write(piece)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'close');
  }

  async go(watch: GatewayWatch): Promise<void> {
    const { cell } = this;
    const event = cell.event ? this.#event(cell.event, watch) : undefined;
    if (cell.event && cell.event.share < 0) await sleep(3_000);
    const refusals = cell.hasRefusals ? this.#refuseNowAndThen() : undefined;
    const beside = cell.besideBytes ? this.#beside(cell.besideBytes) : undefined;
    const pulls = Array.from({ length: cell.images }, (_, image) => this.#pull(image, event));
    await Promise.race([Promise.all(pulls), sleep(GIVE_UP_SECONDS * 1000, undefined, { ref: false })]);
    if (this.#answers.length < cell.images) this.#problems.push(`given up after ${GIVE_UP_SECONDS} s`);
    this.#tookSeconds = watch.seconds;
    this.#isOver = true;
    await Promise.all([event, refusals, beside]);
  }

  async #pull(image: number, event: Promise<void> | undefined): Promise<void> {
    const ask = () => this.tools.client.call({ op: 'pull', repository: repository(image), tag: 'v1' });
    let answer = await ask();
    // A pull that begins while the line is gone may be refused in plain words; later it must succeed.
    if ((this.cell.event?.share ?? 0) < 0 && /answered 503/.test(answer.error ?? '')) {
      await event;
      await sleep(ASK_AGAIN_AFTER_SECONDS * 1000);
      answer = await ask();
    }
    this.#answers.push(answer);
    if (answer.error === undefined) return;
    this.#problems.push(`image ${image} failed after ${answer.seconds.toFixed(0)} s: ${answer.error}`);
  }

  result(watch: GatewayWatch) {
    const { cell } = this;
    const bytes = cell.images * cell.layers * cell.layerBytes;
    const lineSeconds = (bytes * 8) / 1e6 / cell.line.mbit;
    const outageSeconds = cell.event?.seconds ?? 0;
    const firstByteSeconds = this.#most('firstByteMs') / 1000;
    const retries = this.#answers.reduce((sum, answer) => sum + (answer.result?.['retries'] ?? 0), 0);
    const slowestProbeSeconds = Math.max(0, ...this.#probeSeconds);
    const problems = [...this.#problems];
    const hold = (seconds: number, limit: number, what: string) => {
      if (seconds > limit) problems.push(`${what} took ${seconds.toFixed(1)} s, limit ${limit.toFixed(0)} s`);
    };
    hold(this.#tookSeconds, LINE_FACTOR * lineSeconds + LINE_EXTRA_SECONDS + outageSeconds, 'all of it');
    hold(firstByteSeconds, FIRST_BYTE_SECONDS + outageSeconds, 'a first byte');
    hold(slowestProbeSeconds, PROBE_SECONDS, 'the answer to a request while the line was known to be gone');
    // Docker goes on with a layer by itself; a client that does not would have failed.
    if (retries > 0 && (cell.event?.share ?? 0) >= 0 && outageSeconds <= SHORT_FAULT_SECONDS) {
      problems.push(`${retries} transfers ended early and were begun again by the client`);
    }
    return {
      ...{ name: cell.name, problems, lineSeconds, outageSeconds, tookSeconds: this.#tookSeconds, retries },
      ...{ firstByteSeconds, slowestProbeSeconds, probes: this.#probeSeconds.length },
      wireFactor: (watch.last?.toServerBytes ?? 0) / bytes,
    };
  }

  #layers(image: number): BlobSpec[] {
    const { name, layers, layerBytes } = this.cell;
    return Array.from({ length: layers }, (_, layer) => ({
      seed: `${name} ${image} ${layer} ${process.pid}`,
      bytes: layerBytes,
    }));
  }

  #most(figure: string): number {
    return Math.max(0, ...this.#answers.map((answer) => answer.result?.[figure] ?? 0));
  }

  async #push(name: string, layers: readonly BlobSpec[]): Promise<void> {
    const answer = await this.tools.client.call({ op: 'push', repository: name, tag: 'v1', layers });
    if (answer.error !== undefined) throw new Error(`preparing ${name}: ${answer.error}`);
  }

  async #event(event: PullEvent, watch: GatewayWatch): Promise<void> {
    const { network, office } = this.tools;
    const total = this.cell.images * this.cell.layers * this.cell.layerBytes;
    while (!this.#isOver && (watch.last?.toServerBytes ?? 0) < total * event.share) await sleep(200);
    if (this.#isOver) {
      this.#problems.push(`over before the fault at ${event.share} of the bytes`);
      return;
    }
    const ended = sleep(event.seconds * 1000);
    if (event.what === 'status') {
      for (const name of ['lfs-batch-status', 'lfs-download-status']) {
        await office.fault({ name, status: event.status });
      }
      await ended;
      await office.clearFaults();
      return;
    }
    await network.cut();
    const probes = this.#probe(event.seconds);
    await ended;
    await network.restore();
    await probes;
  }

  /** New requests, for layers that nobody has asked for yet, once it must be known that the line is gone. */
  async #probe(goneSeconds: number): Promise<void> {
    const started = performance.now();
    await sleep(KNOWN_AFTER_SECONDS * 1000);
    const probes: Promise<void>[] = [];
    for (const layer of this.#probeLayers) {
      if ((performance.now() - started) / 1000 > goneSeconds - 2) break;
      probes.push(this.#probeOnce(digestOf(layer)));
      await sleep(4_000);
    }
    await Promise.all(probes);
  }

  async #probeOnce(digest: string): Promise<void> {
    const { seconds } = await this.tools.client.call({
      op: 'probe',
      path: `/v2/lines/probe/blobs/${digest}`,
    });
    this.#probeSeconds.push(seconds);
  }

  async #refuseNowAndThen(): Promise<void> {
    while (!this.#isOver) {
      await this.tools.office.fault({ name: 'rate-limit', count: 1, retryAfterSeconds: 1 });
      await sleep(3_000);
    }
  }

  async #beside(bytes: number): Promise<void> {
    const layers = Array.from({ length: 5 }, (_, n) => ({
      seed: `beside ${n} ${process.pid}`,
      bytes: Math.round(bytes / 5),
    }));
    const copy = this.tools.office.aws('s3', 'cp', '--quiet', this.#copyFile, 's3://files/copied');
    const push = await this.tools.client.call({ op: 'push', repository: 'lines/beside', tag: 'v1', layers });
    if (push.error !== undefined) this.#problems.push(`the push beside: ${push.error}`);
    const { code, output } = await copy;
    if (code !== 0) this.#problems.push(`aws s3 cp: ${output.trim().slice(-300)}`);
  }
}

function repository(image: number): string {
  return `lines/image-${image}`;
}
