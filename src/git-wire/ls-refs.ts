/**
 * `ls-refs` of protocol v2 in one POST to git-upload-pack, without asking for capabilities first
 * (gitprotocol-v2(5), gitprotocol-http(5)): stock git needs no `info/refs` before a command.
 */
import { DELIMITER, FLUSH, lineOf, NotGitError, packet, type PacketParser } from './pkt-line.js';

export const UPLOAD_PACK_REQUEST = 'application/x-git-upload-pack-request';
export const UPLOAD_PACK_RESULT = 'application/x-git-upload-pack-result';

/**
 * Asks for the references that begin with this prefix.
 * @param o.namesFormat says that ids are SHA-1: a server with others gives up, and one before git 2.28 does, too.
 */
export function lsRefsRequest(refPrefix: string, agent: string, o: { namesFormat: boolean }): Buffer {
  return Buffer.concat([
    packet('command=ls-refs\n'),
    packet(`agent=${agent}`),
    ...(o.namesFormat ? [packet('object-format=sha1')] : []),
    DELIMITER,
    packet(`ref-prefix ${refPrefix}\n`),
    FLUSH,
  ]);
}

/**
 * Reads the answer: reference to id, of those that are wanted (a prefix may fit any number). An answer that ends before
 * its flush is none, and neither is one of a server that knows no v2 (it takes the command for a line of v0 and gives
 * up, with nothing or an ERR line).
 */
export class LsRefsAnswer {
  readonly refs = new Map<string, string>();
  /** The server's sentence where it answered with an error. */
  error: string | undefined;
  #whole = false;

  constructor(
    private readonly parser: PacketParser,
    private readonly isWanted: (ref: string, id: string) => boolean,
  ) {}

  /** True once the flush was read. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** @throws NotGitError */
  push(bytes: Buffer): void {
    for (const item of this.parser.push(bytes)) {
      if (item.kind === 'flush') this.#whole = true;
      if (item.kind !== 'data') continue;
      const line = lineOf(item.data);
      if (line.startsWith('ERR ')) {
        this.error = line.slice(4);
        continue;
      }
      const match = /^([0-9a-f]{40}) ([^ ]+)/.exec(line);
      if (!match) throw new NotGitError(`no line of ls-refs: ${JSON.stringify(line.slice(0, 100))}`);
      if (this.isWanted(match[2]!, match[1]!)) this.refs.set(match[2]!, match[1]!);
    }
  }
}
