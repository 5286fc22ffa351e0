/**
 * A plain S3 client for tests: it sends exactly the bytes it is told to, signed by @smithy/signature-v4, so that
 * nothing of an SDK stands between a test and the wire.
 */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import http from 'node:http';
import { SignatureV4 } from '@smithy/signature-v4';

export interface S3Target {
  /** http://host:port */
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export interface S3Request {
  readonly method: string;
  /** Percent-encoded, as it goes on the wire. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** Value of x-amz-content-sha256; the hash of the body by default. */
  readonly payloadHash?: string;
  /** Time of signing. */
  readonly now?: Date;
  /** Headers sent but not signed. */
  readonly unsignedHeaders?: Readonly<Record<string, string>>;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Name, value, name, value … as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  /** Value of the first element of that name, unescaped. */
  xml(name: string): string | undefined;
  /** Values of all elements of that name. */
  xmlAll(name: string): string[];
}

/** The hash that SignatureV4 asks for. */
class NodeSha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash('sha256')
        : createHmac('sha256', typeof secret === 'string' ? secret : Buffer.from(toUint8(secret)));
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? data : toUint8(data));
  }
  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest());
  }
  reset(): void {}
}

function toUint8(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}

/** Encodes a key for a path, slashes kept. */
export function encodePath(text: string): string {
  return text.split('/').map(encodeStrict).join('/');
}

function encodeStrict(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function encodeQuery(query: Readonly<Record<string, string>>): string {
  const text = Object.entries(query)
    .map(([name, value]) => `${encodeStrict(name)}=${encodeStrict(value)}`)
    .join('&');
  return text === '' ? '' : `?${text}`;
}

export const sha256Hex = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

export class WireClient {
  readonly #signer: SignatureV4;
  readonly #url: URL;

  constructor(readonly target: S3Target) {
    this.#url = new URL(target.endpoint);
    this.#signer = new SignatureV4({
      service: 's3',
      region: target.region,
      credentials: { accessKeyId: target.accessKeyId, secretAccessKey: target.secretAccessKey },
      sha256: NodeSha256,
      uriEscapePath: false,
      applyChecksum: false,
    });
  }

  /** Signs by header and sends. */
  async send(request: S3Request): Promise<S3Answer> {
    const headers = await this.signedHeaders(request);
    return await this.raw(
      request.method,
      request.path + encodeQuery(request.query ?? {}),
      { ...headers, ...request.unsignedHeaders },
      request.body,
    );
  }

  /** The headers that send() would use. */
  async signedHeaders(request: S3Request): Promise<Record<string, string>> {
    const body = request.body ?? '';
    const signed = await this.#signer.sign(
      {
        method: request.method,
        protocol: 'http:',
        hostname: this.#url.hostname,
        path: request.path,
        query: { ...request.query },
        headers: {
          host: this.#url.host,
          'x-amz-content-sha256': request.payloadHash ?? sha256Hex(body),
          ...request.headers,
        },
        body: request.body,
      },
      request.now ? { signingDate: request.now } : {},
    );
    return signed.headers;
  }

  /** Path and query of a presigned link. */
  async presign(request: S3Request, expiresIn = 1200): Promise<string> {
    const signed = await this.#signer.presign(
      {
        method: request.method,
        protocol: 'http:',
        hostname: this.#url.hostname,
        path: request.path,
        query: { ...request.query },
        headers: { host: this.#url.host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...request.headers },
      },
      {
        expiresIn,
        unhoistableHeaders: new Set(Object.keys(request.headers ?? {})),
        ...(request.now ? { signingDate: request.now } : {}),
      },
    );
    return request.path + encodeQuery(signed.query as Record<string, string>);
  }

  /** Sends as it is. With `Expect: 100-continue` the body is sent only when the server asks for it. */
  async raw(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: Buffer | string,
  ): Promise<S3Answer> {
    return await new Promise<S3Answer>((resolve, reject) => {
      const req = http.request({
        host: this.#url.hostname,
        port: this.#url.port,
        method,
        path,
        headers: {
          host: this.#url.host,
          ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
          ...headers,
        },
        agent: false,
      });
      req.on('error', reject);
      req.on('response', (res) => {
        const pieces: Buffer[] = [];
        res.on('data', (piece: Buffer) => pieces.push(piece));
        res.on('error', reject);
        res.on('end', () => {
          req.destroy();
          resolve(answer(res, Buffer.concat(pieces)));
        });
      });
      const expects = Object.entries(headers).some(
        ([n, v]) => n.toLowerCase() === 'expect' && /^100-/i.test(v),
      );
      if (expects) {
        req.once('continue', () => req.end(body));
        req.flushHeaders();
      } else req.end(body);
    });
  }
}

function answer(res: http.IncomingMessage, body: Buffer): S3Answer {
  // Only where it is asked for: the text of some megabytes takes longer than their way here.
  let text: string | undefined;
  const asText = () => (text ??= body.toString('utf8'));
  const xmlAll = (name: string) =>
    [...asText().matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))].map((m) =>
      unescapeXml(m[1]!),
    );
  const { statusCode: status = 0, headers, rawHeaders } = res;
  return {
    ...{ status, headers, rawHeaders, body, xmlAll, xml: (name: string) => xmlAll(name)[0] },
    get text() {
      return asText();
    },
  };
}

function unescapeXml(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, dec, name) =>
    name === undefined
      ? String.fromCodePoint(hex === undefined ? Number(dec) : Number.parseInt(hex, 16))
      : (named[name] ?? whole),
  );
}
