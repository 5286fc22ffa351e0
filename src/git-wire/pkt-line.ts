/** pkt-line framing (gitprotocol-common(5)): four hexadecimal digits of length, themselves included, then data. */

export const FLUSH = Buffer.from('0000', 'latin1');
/** Protocol v2 only: between the capabilities and the arguments of a command. */
export const DELIMITER = Buffer.from('0001', 'latin1');

const DATA_MAX_BYTES = 65_516;

export type Packet =
  | { readonly kind: 'data'; readonly data: Buffer }
  | { readonly kind: 'flush' | 'delimiter' | 'response-end' };

/** The bytes are no pkt-lines: whoever answered does not speak git. */
export class NotGitError extends Error {
  override readonly name = 'NotGitError';
}

export function packet(text: string): Buffer {
  const data = Buffer.from(text, 'utf8');
  if (data.length > DATA_MAX_BYTES) throw new RangeError(`a pkt-line of ${data.length} bytes`);
  return Buffer.concat([Buffer.from((data.length + 4).toString(16).padStart(4, '0'), 'latin1'), data]);
}

/** Takes a stream of pkt-lines apart as it comes; holds at most one packet. */
export class PacketParser {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws NotGitError */
  *push(bytes: Buffer): Generator<Packet> {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (this.#rest.length - at >= 4) {
      const digits = this.#rest.toString('latin1', at, at + 4);
      if (!/^[0-9a-f]{4}$/i.test(digits)) throw new NotGitError(`no pkt-line: ${JSON.stringify(digits)}`);
      const length = parseInt(digits, 16);
      if (length === 3) throw new NotGitError('a pkt-line of length 3');
      if (length < 4) {
        at += 4;
        yield { kind: length === 0 ? 'flush' : length === 1 ? 'delimiter' : 'response-end' };
        continue;
      }
      if (this.#rest.length - at < length) break;
      yield { kind: 'data', data: this.#rest.subarray(at + 4, at + length) };
      at += length;
    }
    this.#rest = this.#rest.subarray(at);
  }
}

/** The text of a packet without the line's end that senders may add. */
export function lineOf(data: Buffer): string {
  return data.toString('utf8').replace(/\n$/, '');
}
