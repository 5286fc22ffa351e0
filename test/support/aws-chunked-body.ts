/** Writes aws-chunked bodies, signed or not, from its own reading of the AWS pages. */
import { createHash, createHmac } from 'node:crypto';

export interface ChunkSigner {
  readonly secret: string;
  readonly region: string;
  /** YYYYMMDDTHHMMSSZ */
  readonly timestamp: string;
  readonly seed: string;
}

const sha = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');
const mac = (key: Buffer | string, data: string) => createHmac('sha256', key).update(data).digest();

export function chunkedBody(
  chunks: readonly Buffer[],
  options: {
    signer?: ChunkSigner;
    trailer?: Readonly<Record<string, string>>;
    /** Ends a line of the trailer: `\n\r\n` as minio-go writes it. */
    lineEnd?: string;
    /** Ends the trailer. */
    end?: string;
  },
): Buffer {
  const { signer, trailer, lineEnd = '\r\n', end = '\r\n' } = options;
  let previous = signer?.seed ?? '';
  const pieces: Buffer[] = [];
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    let extension = '';
    if (signer) {
      previous = sign(signer, 'AWS4-HMAC-SHA256-PAYLOAD', [previous, sha(''), sha(chunk)]);
      extension = `;chunk-signature=${previous}`;
    }
    pieces.push(Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`), chunk);
    if (chunk.length > 0) pieces.push(Buffer.from('\r\n'));
  }
  const lines = Object.entries(trailer ?? {});
  for (const [name, value] of lines) pieces.push(Buffer.from(`${name}:${value}${lineEnd}`));
  if (signer && trailer) {
    const hash = sha(lines.map(([name, value]) => `${name}:${value}\n`).join(''));
    pieces.push(
      Buffer.from(
        `x-amz-trailer-signature:${sign(signer, 'AWS4-HMAC-SHA256-TRAILER', [previous, hash])}\r\n`,
      ),
    );
  }
  pieces.push(Buffer.from(end));
  return Buffer.concat(pieces);
}

function sign(signer: ChunkSigner, algorithm: string, lines: string[]): string {
  const date = signer.timestamp.slice(0, 8);
  const key = mac(mac(mac(mac(`AWS4${signer.secret}`, date), signer.region), 's3'), 'aws4_request');
  const text = [algorithm, signer.timestamp, `${date}/${signer.region}/s3/aws4_request`, ...lines].join('\n');
  return mac(key, text).toString('hex');
}
