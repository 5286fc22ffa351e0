import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeImage } from '../../test/support/image.js';
import { run } from '../../test/support/child.js';
import { ELEVEN_MB_LAYERS, SMALL_LAYERS, type LineEvent, type PushCell } from './cells.js';
import type { CellTools } from './cell-tools.js';
import type { ClientAnswer } from './client-main.js';
import { DockerHost } from './docker-host.js';

import { USER } from './office.js';
import type { CellResult } from './result.js';
import { pieces, type BlobSpec } from './random-bytes.js';
import { SocketWatch } from './sockets.js';
import { GatewayWatch } from './watch.js';

const UNSENT = 'gateway_spool_unsent_bytes';
/** Bounds of a push: a share of the line alone and a constant; the small one's whole time. */
const LINE_FACTOR = 1.15;
const LINE_EXTRA_SECONDS = 15;
const SMALL_SECONDS = 10;
const GIVE_UP_SECONDS = 900;
/** What the pushes beside a copy may have unsent themselves. */
const DRAINED_BYTES = 12e6;

/** Runs one cell: line, load and events as it says, and holds what was seen to the bounds. */
export async function runPushCell(cell: PushCell, tools: CellTools): Promise<CellResult> {
  const watch = new GatewayWatch(tools.network);
  const run = new PushRun(cell, tools, watch);
  try {
    return await runPrepared(cell, tools, run, watch);
  } finally {
    await run.close();
  }
}

async function runPrepared(
  cell: PushCell,
  { network, office, directory }: CellTools,
  run: PushRun,
  watch: GatewayWatch,
): Promise<CellResult> {
  const client = new SocketWatch(network, 'client', [443]);
  const inside = new SocketWatch(network, 'server', [5000, 9080, 9000]);
  await run.prepare();
  await watch.start();
  client.start();
  inside.start();
  const startedSeconds = watch.seconds;
  const outcome = await run.go();
  const tookSeconds = watch.seconds - startedSeconds;
  await Promise.all([watch.stop(), client.stop(), inside.stop()]);
  await writeFile(path.join(directory, 'samples.tsv'), watch.table);

  const { lineSeconds, outageSeconds } = outcome;
  const limit = LINE_FACTOR * lineSeconds + LINE_EXTRA_SECONDS + outageSeconds;
  const problems = [...outcome.problems];
  if (tookSeconds > limit) problems.push(`took ${tookSeconds.toFixed(0)} s, limit ${limit.toFixed(0)} s`);
  const slowest = Math.max(0, ...outcome.smallSeconds);
  if (slowest > SMALL_SECONDS) problems.push(`a small push took ${slowest.toFixed(1)} s`);
  const refused = await office.answers('s3');
  const toClients = await office.answers('registry');
  return {
    ...{ name: cell.name, problems, lineSeconds, outageSeconds, tookSeconds },
    wireFactor: (watch.last?.toGiteeBytes ?? 0) / Math.max(1, outcome.bytes),
    peakUnsentMiB: watch.peak(UNSENT) / 1024 ** 2,
    quietClientSeconds: client.longestSeconds,
    quietInsideSeconds: inside.longestSeconds,
    machineLateSeconds: watch.machineLateSeconds,
    s3Refusals: refused.get(503) ?? 0,
    clientErrors: [...toClients].reduce((sum, [status, n]) => sum + (status >= 500 ? n : 0), 0),
    retries: outcome.retries,
    slowestSmallSeconds: slowest,
    smallPushes: outcome.smallSeconds.length,
  };
}

class PushRun {
  readonly #problems: string[] = [];
  readonly #smallSeconds: number[] = [];
  readonly #layers: BlobSpec[][] = [];
  #retries = 0;
  #bytes = 0;
  #outageSeconds = 0;
  #isOver = false;
  #docker: DockerHost | undefined;
  /** When the rate changed, what had crossed the wire by then, and the rate from then on. */
  #change: { seconds: number; bytes: number; mbit: number } | undefined;

  constructor(
    private readonly cell: PushCell,
    private readonly tools: CellTools,
    private readonly watch: GatewayWatch,
  ) {}

  get #copyFile(): string {
    return path.join(this.tools.directory, 'copied');
  }

  /** Everything that is no pushing: digests, layouts, files. */
  async prepare(): Promise<void> {
    const { cell, tools } = this;
    for (let image = 0; image < cell.images; image += 1) {
      const layers = Array.from({ length: cell.layers }, (_, layer) => ({
        seed: `${cell.name} ${image} ${layer} ${process.pid}`,
        bytes: cell.layerBytes,
      }));
      this.#layers.push(layers);
      if (cell.way === 'skopeo') {
        await makeImage(
          this.#layout(image),
          layers.map((layer) => layer.bytes),
        );
      } else if (cell.way === 'docker') {
        this.#docker ??= await DockerHost.start(tools.network, tools.office, tools.directory);
        await this.#docker.load(
          repositoryOf(image),
          layers.map((layer) => layer.bytes),
        );
      } else {
        await tools.client.call({ op: 'prepare', layers });
      }
    }
    if (cell.copyBytes) {
      const file = createWriteStream(this.#copyFile);
      for (const piece of pieces({ seed: cell.name, bytes: cell.copyBytes })) {
        if (!file.write(piece)) await once(file, 'drain');
      }
      file.end();
      await once(file, 'close');
    }
  }

  async go() {
    const { cell } = this;
    const main = this.#layers.map((layers, image) => this.#pushImage(image, layers));
    const copy = cell.copyBytes ? [this.#copy()] : [];
    const events = (cell.events ?? []).map((event) => this.#event(event));
    const beside = cell.hasSmallBeside || cell.copyBytes ? [this.#pushSmallOnes()] : [];
    await Promise.race([Promise.all([...main, ...copy]), this.#giveUp()]);
    if (cell.copyBytes) await this.#untilSent();
    this.#isOver = true;
    await Promise.all([...beside, ...events]);
    return {
      problems: this.#problems,
      retries: this.#retries,
      bytes: this.#bytes,
      smallSeconds: this.#smallSeconds,
      lineSeconds: this.#lineSeconds(),
      outageSeconds: this.#outageSeconds,
    };
  }

  /** What the bytes would take if the line carried nothing else, not even headers. */
  #lineSeconds(): number {
    const perSecond = (mbit: number) => (mbit * 1e6) / 8;
    const change = this.#change;
    if (!change) return this.#bytes / perSecond(this.cell.line.mbit);
    return change.seconds + Math.max(0, this.#bytes - change.bytes) / perSecond(change.mbit);
  }

  async #pushImage(image: number, layers: readonly BlobSpec[]): Promise<void> {
    this.#bytes += layers.reduce((sum, layer) => sum + layer.bytes, 0);
    this.#note(`image ${image}`, await this.#pushTo(repositoryOf(image), image, layers));
  }

  async #pushTo(
    repository: string,
    image: number,
    layers: readonly BlobSpec[],
  ): Promise<Omit<ClientAnswer, 'id'>> {
    if (this.cell.way === 'skopeo') return this.#skopeo(repository, image);
    if (this.#docker) return this.#docker.push(repository, GIVE_UP_SECONDS * 1000);
    return this.tools.client.call({ op: 'push', repository, tag: 'v1', layers });
  }

  async close(): Promise<void> {
    await this.#docker?.stop();
  }

  async #skopeo(repository: string, image: number): Promise<Omit<ClientAnswer, 'id'>> {
    const { network, office, directory } = this.tools;
    const authFile = path.join(directory, 'skopeo-auth.json');
    const auth = Buffer.from(`${USER}:${office.password}`).toString('base64');
    await writeFile(authFile, JSON.stringify({ auths: { [office.registryAddress]: { auth } } }), {
      mode: 0o600,
    });
    const started = performance.now();
    const [command, args] = network.on('client', 'skopeo', [
      ...['--insecure-policy', 'copy', '--quiet', '--authfile', authFile, '--dest-tls-verify=false'],
      ...[`oci:${this.#layout(image)}:latest`, `docker://${office.registryAddress}/${repository}:v1`],
    ]);
    const { code, stderr } = await run(command, args, { timeoutMs: GIVE_UP_SECONDS * 1000 });
    const seconds = (performance.now() - started) / 1000;
    return { seconds, ...(code === 0 ? {} : { error: stderr.trim().slice(-300) }) };
  }

  async #copy(): Promise<void> {
    this.#bytes += this.cell.copyBytes!;
    const { code, output } = await this.tools.office.aws(
      's3',
      'cp',
      '--quiet',
      this.#copyFile,
      's3://files/copied',
    );
    if (code !== 0) this.#problems.push(`aws s3 cp: ${output.trim().slice(-300)}`);
  }

  /** The copy returns before its bytes are sent; pushes go on until they are. */
  async #untilSent(): Promise<void> {
    const deadline = this.watch.seconds + GIVE_UP_SECONDS;
    // No figure is not zero: the gateway may not have answered in that second.
    const isSent = () => (this.watch.last?.metrics.get(UNSENT) ?? Infinity) < DRAINED_BYTES;
    do await sleep(2_000);
    while (!isSent() && this.watch.seconds < deadline);
  }

  /** One after the other with a breath between; beside a copy each second one is of 11 MB. */
  async #pushSmallOnes(): Promise<void> {
    await sleep(5_000);
    for (let n = 0; !this.#isOver; n += 1) {
      const isLarge = this.cell.copyBytes !== undefined && n % 2 === 1;
      const sizes = isLarge ? ELEVEN_MB_LAYERS : SMALL_LAYERS;
      const layers = sizes.map((bytes, i) => ({
        seed: `small ${this.cell.name} ${n} ${i} ${process.pid}`,
        bytes,
      }));
      await this.tools.client.call({ op: 'prepare', layers });
      const sum = sizes.reduce((a, b) => a + b, 0);
      this.#bytes += sum;
      const answer = await this.tools.client.call({
        op: 'push',
        repository: `lines/small-${n}`,
        tag: 'v1',
        layers,
      });
      this.#note(`${isLarge ? '11 MB' : 'small'} push ${n}`, answer);
      if (!isLarge) this.#smallSeconds.push(answer.seconds);
      else if (answer.seconds > LINE_FACTOR * ((sum * 8) / 1e6 / this.cell.line.mbit) + LINE_EXTRA_SECONDS) {
        this.#problems.push(`the push of 11 MB took ${answer.seconds.toFixed(1)} s`);
      }
      await sleep(2_000);
    }
  }

  #note(what: string, answer: Omit<ClientAnswer, 'id'>): void {
    this.#retries += answer.result?.['retries'] ?? 0;
    if (answer.error === undefined) return;
    this.#problems.push(`${what} failed after ${answer.seconds.toFixed(0)} s: ${answer.error}`);
  }

  async #event(event: LineEvent): Promise<void> {
    const { network, office } = this.tools;
    const total = this.cell.images * this.cell.layers * this.cell.layerBytes;
    while (!this.#isOver && (this.watch.last?.toGiteeBytes ?? 0) < total * event.share) await sleep(200);
    if (this.#isOver) {
      this.#problems.push(`over before the line's event at ${event.share} of the bytes`);
      return;
    }
    if (event.what === 'rate') {
      await network.setRate(event.mbit);
      this.#change = {
        seconds: this.watch.seconds,
        bytes: this.watch.last?.toGiteeBytes ?? 0,
        mbit: event.mbit,
      };
      return;
    }
    this.#outageSeconds += event.seconds;
    if (event.what === 'gone') await network.cut();
    else office.giteeStandsStill(true);
    await sleep(event.seconds * 1000);
    if (event.what === 'gone') await network.restore();
    else office.giteeStandsStill(false);
  }

  async #giveUp(): Promise<void> {
    await sleep(GIVE_UP_SECONDS * 1000, undefined, { ref: false });
    this.#problems.push(`given up after ${GIVE_UP_SECONDS} s`);
  }

  #layout(image: number): string {
    return path.join(this.tools.directory, `layout-${image}`);
  }
}

function repositoryOf(image: number): string {
  return `lines/image-${image}`;
}
