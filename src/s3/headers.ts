/**
 * Request headers as they were sent: Node's `headers` drops some repeated ones, and the signature covers all.
 */
export class RequestHeaders {
  readonly #values = new Map<string, string[]>();

  /** @param rawHeaders name, value, name, value … as in IncomingMessage.rawHeaders (latin1). */
  constructor(rawHeaders: readonly string[]) {
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i]!.toLowerCase();
      const values = this.#values.get(name);
      if (values) values.push(rawHeaders[i + 1]!);
      else this.#values.set(name, [rawHeaders[i + 1]!]);
    }
  }

  /** Values of one header joined by commas (RFC 9110 §5.2), as text: UTF-8 where it is, else latin1. */
  get(name: string): string | undefined {
    const raw = this.raw(name);
    return raw === undefined ? undefined : textOfHeader(raw);
  }

  /** The bytes of the header, one character each. */
  raw(name: string): string | undefined {
    return this.#values.get(name)?.join(',');
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The same headers and some more, as text. */
  with(more: Iterable<readonly [name: string, text: string]>): RequestHeaders {
    const raw = [...this.#values].flatMap(([name, values]) => values.flatMap((value) => [name, value]));
    for (const [name, text] of more) raw.push(name, Buffer.from(text, 'utf8').toString('latin1'));
    return new RequestHeaders(raw);
  }

  /** Lower-case names. */
  names(): string[] {
    return [...this.#values.keys()];
  }
}

/** Clients send UTF-8 in header values although HTTP knows only bytes. */
export function textOfHeader(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Not UTF-8, then it is latin1; it will go back as UTF-8.
    return latin1;
  }
}

/**
 * The reverse of textOfHeader, for an answer; undefined where HTTP cannot carry the value (control characters).
 */
export function headerOfText(text: string): string | undefined {
  const latin1 = Buffer.from(text, 'utf8').toString('latin1');
  // RFC 9110 §5.5: no control characters but TAB.

  return /[\u0000-\u0008\u000a-\u001f\u007f]/.test(latin1) ? undefined : latin1;
}
