/**
 * What a server says at `info/refs?service=git-upload-pack` (gitprotocol-http(5), "Smart Clients"): in protocol v0 and v1
 * all its references (gitprotocol-pack(5), "Reference Discovery"), in v2 its capabilities (gitprotocol-v2(5)).
 */
import { lineOf, NotGitError, type PacketParser } from './pkt-line.js';

export const UPLOAD_PACK_ADVERTISEMENT = 'application/x-git-upload-pack-advertisement';

const SERVICE = '# service=git-upload-pack';

type Place = 'service' | 'end of service' | 'version' | 'references' | 'capabilities' | 'end';

/** Reads it as it comes; keeps those references that are wanted and those capabilities that matter. */
export class RefAdvertisement {
  readonly refs = new Map<string, string>();
  /** The server's sentence where it answered with an error. */
  error: string | undefined;
  /** There are no references here: ls-refs gives them. */
  isV2 = false;
  /** What ids are hashes by; undefined where the server does not say, as before git 2.28: SHA-1. */
  objectFormat: string | undefined;
  #place: Place = 'service';

  constructor(
    private readonly parser: PacketParser,
    private readonly isWanted: (ref: string, id: string) => boolean,
  ) {}

  /** True once the flush at its end was read. */
  get isWhole(): boolean {
    return this.#place === 'end';
  }

  /** @throws NotGitError */
  push(bytes: Buffer): void {
    for (const item of this.parser.push(bytes)) {
      if (this.isWhole || this.error !== undefined) return;
      if (item.kind === 'data') this.#line(item.data);
      else if (item.kind !== 'flush' || this.#place === 'service')
        throw new NotGitError(`a ${item.kind} packet in the ${this.#place} of an advertisement`);
      else this.#place = this.#place === 'end of service' ? 'version' : 'end';
    }
  }

  #line(data: Buffer): void {
    const line = lineOf(data);
    const place = this.#place;
    if (line.startsWith('ERR ')) this.error = line.slice(4);
    else if (place === 'service' && line === SERVICE) this.#place = 'end of service';
    // Some servers leave the service out before v2, and git takes that.
    else if ((place === 'service' || place === 'version') && line === 'version 2') {
      this.isV2 = true;
      this.#place = 'capabilities';
    } else if (place === 'version' && line === 'version 1') this.#place = 'references';
    else if (place === 'version' || place === 'references') {
      this.#place = 'references';
      this.#reference(line);
    } else if (place === 'capabilities') this.#capability(line);
    else throw notOne(line);
  }

  #reference(line: string): void {
    // The first one has the capabilities behind it.
    const [reference = '', capabilities = ''] = line.split('\0');
    for (const capability of capabilities.split(' ')) this.#capability(capability);
    // Ids of another format are longer.
    if (this.objectFormat !== undefined && this.objectFormat !== 'sha1') return;
    if (/^shallow [0-9a-f]{40}$/.test(reference)) return;
    const match = /^([0-9a-f]{40}) ([^ ]+)$/.exec(reference);
    if (!match) throw notOne(line);
    if (this.isWanted(match[2]!, match[1]!)) this.refs.set(match[2]!, match[1]!);
  }

  #capability(text: string): void {
    if (text.startsWith('object-format=')) this.objectFormat ??= text.slice('object-format='.length);
  }
}

function notOne(line: string): NotGitError {
  return new NotGitError(`no line of an advertisement: ${JSON.stringify(line.slice(0, 100))}`);
}
