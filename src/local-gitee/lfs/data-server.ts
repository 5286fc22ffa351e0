import { createReadStream } from 'node:fs';
import { pipeline as connect, Transform, Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Access } from '../access.js';
import { HttpFault, type Exchange } from '../exchange.js';
import { retryAfter, type Faults } from '../faults.js';
import type { Repository, State } from '../state.js';
import type { Statistics } from '../statistics.js';
import { parseRange } from './byte-range.js';
import type { Forgotten } from './forgotten.js';
import type { LinkClaim, Links } from './links.js';
import type { ObjectFiles } from './object-files.js';

const PATH = /^\/api\/lfs\/storage\/projects\/(\d{1,15})\/([0-9a-f]{64})$/;
const MB = 1024 * 1024;

/**
 * The LFS data port, lfs.gitee.com's place: signed links only. It is another host than Gitee's, so a Gitee
 * token that arrives here has leaked: the request is refused with 400 and the leak is kept for the test.
 */
export class LfsDataServer {
  #slowLine: Promise<void> = Promise.resolve();
  constructor(
    private readonly state: State,
    private readonly access: Access,
    private readonly files: ObjectFiles,
    private readonly links: Links,
    private readonly faults: Faults,
    private readonly statistics: Statistics,
    private readonly forgotten: Forgotten,
    private readonly now: () => number,
  ) {}

  /** Answers, or throws HttpFault, whose text goes out plain. */
  async handle(exchange: Exchange): Promise<void> {
    const match = PATH.exec(exchange.url.pathname);
    const repository = match ? this.state.repositoryById(Number(match[1])) : undefined;
    this.#refuseToken(exchange, repository);
    if (!match || !repository) throw new HttpFault(404, 'Not Found');
    const oid = match[2]!;
    const target = { repo: `${repository.owner}/${repository.name}`, oid };
    if (this.faults.stall('lfs-stall', target, exchange)) return;
    const method = exchange.method === 'HEAD' ? 'GET' : exchange.method;
    if (method !== 'GET' && method !== 'PUT') throw new HttpFault(405, 'Method Not Allowed');
    const claim = this.#claim(exchange, repository.id, oid, method);
    if (this.faults.take('lfs-link-expired', target)) throw new HttpFault(403, 'Request has expired');
    const verdict = this.links.check(claim, exchange.url.searchParams.get('Signature') ?? '', this.now());
    if (verdict === 'expired') throw new HttpFault(403, 'Request has expired');
    if (verdict === 'forged') throw new HttpFault(403, 'The signature is not right');
    if (method === 'PUT') await this.#receive(exchange, repository, claim);
    else await this.#serve(exchange, repository, claim);
  }

  #refuseToken(exchange: Exchange, repository: Repository | undefined): void {
    if (!this.access.carriesToken(exchange.request, exchange.url)) return;
    this.statistics.leak(
      {
        atMs: this.now(),
        method: exchange.method,
        path: exchange.url.pathname,
        repo: repository && `${repository.owner}/${repository.name}`,
      },
      repository?.id,
    );
    throw new HttpFault(400, 'A Gitee token came to the LFS host. It was refused and recorded as leaked.');
  }

  #claim(exchange: Exchange, projectId: number, oid: string, method: 'GET' | 'PUT'): LinkClaim {
    const number = (name: string) => Number(exchange.url.searchParams.get(name) ?? NaN);
    const [sizeBytes, expiresSeconds] = [number('Size'), number('Expires')];
    if (!Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(expiresSeconds)) {
      throw new HttpFault(403, 'The link is not whole');
    }
    return { method, projectId, oid, sizeBytes, expiresSeconds };
  }

  async #receive(exchange: Exchange, repository: Repository, claim: LinkClaim): Promise<void> {
    const { oid, sizeBytes } = claim;
    const target = { repo: `${repository.owner}/${repository.name}`, oid };
    const refused = this.faults.take('lfs-upload-status', target);
    if (refused)
      throw new HttpFault(refused.status ?? 500, refused.text ?? 'Internal error', retryAfter(refused));
    const cut = this.faults.take('lfs-upload-cut', target);
    if (cut) return this.#cutUpload(exchange, cut.afterBytes ?? 0);
    this.#checkUpload(exchange, repository, claim);
    if (this.faults.take('lfs-forget', target)) {
      await pipeline(exchange.request, new Writable({ write: (_data, _encoding, done) => done() }));
      this.forgotten.add(repository.id, oid);
      return exchange.text(200, '');
    }
    const slow = this.faults.take('lfs-upload-slow', target);
    const body = slow ? this.#slowly(exchange.request, slow.ms ?? 100) : exchange.request;
    const result = await this.#store(exchange, claim, body);
    if (result === undefined) return;
    if (result !== 'stored') throw new HttpFault(422, `the body has the ${result.replace('-', ' ')}`);
    this.forgotten.delete(repository.id, oid);
    const counters = this.statistics.of(repository.id);
    counters.uploads++;
    counters.uploadedBytes += sizeBytes;
    if (this.faults.take('lfs-upload-lose-after-accept', target)) return exchange.cut();
    exchange.text(200, '');
  }

  /** Undefined: the client went away in the middle. */
  async #store(exchange: Exchange, claim: LinkClaim, body: Readable) {
    try {
      return await this.files.put(claim.projectId, claim.oid, claim.sizeBytes, body);
    } catch (error) {
      if (exchange.request.readableAborted || exchange.request.destroyed) return undefined;
      throw error;
    }
  }

  /** All bodies that are slow share one line: 16 KiB of any of them each so many milliseconds. */
  #slowly(body: Readable, ms: number): Readable {
    const next = () => (this.#slowLine = this.#slowLine.then(() => sleep(ms)));
    const slow = new Transform({
      highWaterMark: 16 * 1024,
      transform(data: Buffer, _encoding, done) {
        const step = async () => {
          for (let at = 0; at < data.length && !this.destroyed; at += 16 * 1024) await next();
        };
        step().then(() => done(null, data), done);
      },
    });
    return connect(body, slow, () => {});
  }

  #checkUpload(exchange: Exchange, repository: Repository, claim: LinkClaim): void {
    if (exchange.header('x-gitee-lfs-ticket') !== this.links.ticket(claim)) {
      throw new HttpFault(400, 'The headers that the batch answer asked for did not come');
    }
    if (exchange.header('content-type') !== 'application/octet-stream') {
      throw new HttpFault(400, 'Content-Type must be application/octet-stream, as the batch answer has it');
    }
    const declaredBytes = exchange.header('content-length');
    if (declaredBytes === undefined && exchange.header('transfer-encoding') === undefined) {
      throw new HttpFault(411, 'Length Required');
    }
    if (declaredBytes !== undefined && Number(declaredBytes) !== claim.sizeBytes) {
      throw new HttpFault(422, `the body has the wrong size, ${claim.sizeBytes} bytes were announced`);
    }
    const { lfsMb } = repository.limits;
    const full = lfsMb !== undefined && this.files.usage(repository.id).bytes + claim.sizeBytes > lfsMb * MB;
    if (full || this.faults.take('lfs-quota-full', { repo: `${repository.owner}/${repository.name}` })) {
      throw new HttpFault(507, `LFS space of the enterprise is full, exceeds quota ${lfsMb ?? 0} MB`);
    }
  }

  #cutUpload(exchange: Exchange, afterBytes: number): void {
    let receivedBytes = 0;
    if (afterBytes === 0) return exchange.cut();
    exchange.request.on('data', (data: Buffer) => {
      receivedBytes += data.length;
      if (receivedBytes >= afterBytes) exchange.cut();
    });
    exchange.request.on('end', () => exchange.cut());
  }

  async #serve(exchange: Exchange, repository: Repository, claim: LinkClaim): Promise<void> {
    const target = { repo: `${repository.owner}/${repository.name}`, oid: claim.oid };
    const refused = this.faults.take('lfs-download-status', target);
    if (refused)
      throw new HttpFault(refused.status ?? 500, refused.text ?? 'Internal error', retryAfter(refused));
    const sizeBytes = await this.files.size(repository.id, claim.oid);
    if (sizeBytes === undefined) throw new HttpFault(404, 'Not Found');
    const ignored = exchange.header('range') !== undefined && this.faults.take('lfs-no-range', target);
    const range = ignored ? undefined : parseRange(exchange.header('range'), sizeBytes);
    if (range === 'unsatisfiable') {
      throw new HttpFault(416, 'Range Not Satisfiable', { 'Content-Range': `bytes */${sizeBytes}` });
    }
    const { start, end } = range ?? { start: 0, end: sizeBytes - 1 };
    const { response } = exchange;
    response.writeHead(range ? 206 : 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': String(end - start + 1),
      'Accept-Ranges': 'bytes',
      ...(range ? { 'Content-Range': `bytes ${start}-${end}/${sizeBytes}` } : {}),
    });
    if (exchange.method === 'HEAD' || sizeBytes === 0) {
      response.end();
      return;
    }
    const counters = this.statistics.of(repository.id);
    counters.downloads++;
    counters.downloadedBytes += end - start + 1;
    const body = createReadStream(this.files.file(repository.id, claim.oid), {
      start,
      end,
      highWaterMark: 256 * 1024,
    });
    await this.#send(exchange, repository, claim, body);
  }

  async #send(exchange: Exchange, repository: Repository, claim: LinkClaim, body: Readable): Promise<void> {
    const target = { repo: `${repository.owner}/${repository.name}`, oid: claim.oid };
    const cut = this.faults.take('lfs-download-cut', target);
    const corrupt = this.faults.take('lfs-download-corrupt', target);
    const slow = this.faults.take('lfs-download-slow', target);
    const steps: Transform[] = [];
    if (corrupt) steps.push(flipBit(corrupt.afterBytes ?? 0));
    if (slow) steps.push(pause(slow.ms ?? 100, exchange));
    if (cut) steps.push(stopAfter(cut.afterBytes ?? Math.floor(claim.sizeBytes / 2), exchange));
    try {
      await pipeline([body, ...steps, exchange.response]);
    } catch {
      // The client went away, or a fault cut it: the answer's length says that it is not whole.
      exchange.cut();
    }
  }
}

/** Flips one bit at this offset. */
function flipBit(offset: number): Transform {
  let seenBytes = 0;
  return new Transform({
    transform(data: Buffer, _encoding, done) {
      const at = offset - seenBytes;
      seenBytes += data.length;
      if (at < 0 || at >= data.length) return done(null, data);
      const copy = Buffer.from(data);
      copy[at] = copy[at]! ^ 1;
      done(null, copy);
    },
  });
}

/** Sends 16 KiB, waits so many milliseconds, and so on; ends at once when the client goes. */
function pause(ms: number, exchange: Exchange): Transform {
  const gone = new AbortController();
  exchange.response.once('close', () => gone.abort());
  return new Transform({
    transform(data: Buffer, _encoding, done) {
      const step = async () => {
        for (let at = 0; at < data.length; at += 16 * 1024) {
          await sleep(ms, undefined, { signal: gone.signal });
          this.push(data.subarray(at, at + 16 * 1024));
        }
      };
      step().then(() => done(), done);
    },
  });
}

/** Lets so many bytes pass, waits until they are on the line, and cuts. */
function stopAfter(bytes: number, exchange: Exchange): Transform {
  let left = bytes;
  return new Transform({
    transform(data: Buffer, _encoding, done) {
      const part = data.subarray(0, left);
      left -= part.length;
      if (left > 0) return done(null, part);
      if (part.length > 0) this.push(part);
      // The end of the stream flushes; the cut comes with the next turn, when the bytes have been written.
      setImmediate(() => exchange.response.write('', () => exchange.cut()));
    },
  });
}
