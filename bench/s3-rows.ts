import http from 'node:http';
import { seededBytes } from '../test/support/bytes.js';
import { encodePath, encodeQuery, WireClient, type S3Request } from '../test/support/s3-client.js';
import type { TestGateway } from '../test/support/gateway.js';

const MIB = 1024 * 1024;
const PART_BYTES = 8 * MIB;
/** Keys of one page of a list, and of one DeleteObjects. */
const PAGE = 1000;
/** Of a list by a delimiter, which names each folder and none of its keys. */
const FOLDERS = 100;
const KEYS_A_FOLDER = 100;
const SMALL = seededBytes('small', 1024);
const LARGE = seededBytes('large', 64 * MIB);

export interface Row {
  readonly name: string;
  /** The most that `now` may take, as a share of before. */
  readonly atMost: number;
  /** Before the first turn. */
  readonly fill?: (client: LoadClient) => Promise<void>;
  /** Prepares a turn, which is not timed, and returns what is. */
  readonly turn: (client: LoadClient, name: string) => Promise<() => Promise<void>>;
}

/** Sends requests that were signed before, over connections that stay: little else than the gateway takes time. */
export class LoadClient {
  readonly #wire: WireClient;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  readonly #url: URL;

  constructor(gateway: TestGateway) {
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    this.#wire = new WireClient({ endpoint, accessKeyId, secretAccessKey, region: 'us-east-1' });
    this.#url = new URL(endpoint);
  }

  async ready(request: S3Request): Promise<() => Promise<string>> {
    const headers = await this.#wire.signedHeaders(request);
    if (request.body !== undefined) headers['content-length'] = String(Buffer.byteLength(request.body));
    return () => this.#send(request, headers);
  }

  async all(requests: readonly S3Request[]): Promise<() => Promise<void>> {
    const ready = await Promise.all(requests.map((request) => this.ready(request)));
    return async () => {
      await Promise.all(ready.map((send) => send()));
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The text of an answer that is short, or an ETag where there is none. */
  #send(request: S3Request, headers: Record<string, string>): Promise<string> {
    const { hostname, port } = this.#url;
    const path = request.path + encodeQuery(request.query ?? {});
    return new Promise((resolve, reject) => {
      const sent = http.request({
        ...{ hostname, port, path, method: request.method, headers, agent: this.#agent },
      });
      sent.on('error', reject);
      sent.on('response', (answer) => {
        let text = '';
        answer.on('data', (piece: Buffer) => {
          if (text.length < MIB) text += piece.toString('latin1');
        });
        answer.on('error', reject);
        answer.on('end', () => {
          if ((answer.statusCode ?? 0) < 300) resolve(text === '' ? (answer.headers.etag ?? '') : text);
          else reject(new Error(`${request.method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`));
        });
      });
      sent.end(request.body);
    });
  }
}

const at = (key: string) => `/files/${encodePath(key)}`;
const many = (count: number, make: (n: number) => S3Request) =>
  Array.from({ length: count }, (_, n) => make(n));
const puts = (folder: string, count: number) =>
  many(count, (n) => ({ method: 'PUT', path: at(`${folder}/${n}`), body: SMALL }));
const fillPage = async (client: LoadClient, folder: string) => (await client.all(puts(folder, PAGE)))();

/** What a bucket of the preset `generic` is asked for most; each turn takes a fraction of a second or more. */
export const ROWS: readonly Row[] = [
  {
    name: 'put-1k',
    atMost: 1.03,
    turn: (client, name) => client.all(puts(name, 600)),
  },
  {
    name: 'get-1k',
    atMost: 1.03,
    fill: async (client) => (await client.all(puts('get', 1)))(),
    turn: (client) => client.all(many(1500, () => ({ method: 'GET', path: at('get/0') }))),
  },
  {
    name: 'head',
    atMost: 1.03,
    fill: async (client) => (await client.all(puts('head', 1)))(),
    turn: (client) => client.all(many(1500, () => ({ method: 'HEAD', path: at('head/0') }))),
  },
  {
    name: 'list-1000',
    atMost: 1.03,
    fill: (client) => fillPage(client, 'list'),
    turn: (client) => {
      const query = { 'list-type': '2', prefix: 'list/' };
      return client.all(many(60, () => ({ method: 'GET', path: '/files', query })));
    },
  },
  {
    name: 'list-folders',
    atMost: 1.03,
    fill: async (client) => {
      for (let folder = 0; folder < FOLDERS; folder += 1)
        await (
          await client.all(puts(`folders/${folder}`, KEYS_A_FOLDER))
        )();
    },
    turn: (client) => {
      const query = { 'list-type': '2', prefix: 'folders/', delimiter: '/' };
      return client.all(many(16, () => ({ method: 'GET', path: '/files', query })));
    },
  },
  {
    name: 'delete-1000',
    atMost: 1.03,
    turn: async (client, name) => {
      await fillPage(client, name);
      const keys = Array.from({ length: PAGE }, (_, n) => `<Object><Key>${name}/${n}</Key></Object>`);
      const body = `<Delete><Quiet>true</Quiet>${keys.join('')}</Delete>`;
      return client.all([{ method: 'POST', path: '/files', query: { delete: '' }, body }]);
    },
  },
  {
    name: 'multipart-64m',
    atMost: 1.03,
    turn: async (client, name) => {
      const path = at(`${name}/large`);
      const created = await client.ready({ method: 'POST', path, query: { uploads: '' } });
      const uploadId = /<UploadId>(.*?)</.exec(await created())![1]!;
      const parts = await Promise.all(
        many(LARGE.length / PART_BYTES, (n) => ({
          ...{ method: 'PUT', path, query: { partNumber: String(n + 1), uploadId } },
          body: differing(LARGE.subarray(n * PART_BYTES, (n + 1) * PART_BYTES), name),
        })).map((request) => client.ready(request)),
      );
      return async () => {
        const etags = await Promise.all(parts.map((send) => send()));
        const list = etags.map(
          (etag, n) => `<Part><PartNumber>${n + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
        );
        const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
        await (
          await client.ready({ method: 'POST', path, query: { uploadId }, body })
        )();
      };
    },
  },
  {
    name: 'get-64m',
    atMost: 1.03,
    fill: async (client) => (await client.all([{ method: 'PUT', path: at('get-large'), body: LARGE }]))(),
    turn: (client) => client.all(many(8, () => ({ method: 'GET', path: at('get-large') }))),
  },
];

/** The same bytes but for the first ones: what is known already need not be stored or sent again. */
function differing(bytes: Buffer, name: string): Buffer {
  const copy = Buffer.from(bytes);
  copy.write(name);
  return copy;
}
