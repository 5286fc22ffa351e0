/**
 * Keeps invariant 7 for logs: "No secret in a log, metric, commit, error, URL or process list". A secret is
 * registered once and masked wherever it turns up: as it is, URL-encoded, and in base64 at any alignment (as in a
 * Basic header after `user:`).
 */
import { maskQuerySecrets } from '../../async/secret-query.js';

const MASK = '***';
/** Shorter texts are no secrets, and masking them would hit ordinary words. */
const MIN_CHARACTERS = 6;
/** `token`, a blank and eight characters. */
const WORD_AND_TOKEN_CHARACTERS = 14;

/** The secrets of one process, and the masking of texts and log fields. */
export class Redactor {
  readonly #needles = new Set<string>();
  #pattern: RegExp | undefined;

  /** Masks this secret from now on. The old value of a rotated secret stays masked. */
  register(secret: string): void {
    if (secret.length < MIN_CHARACTERS) return;
    for (const form of formsOf(secret)) this.#needles.add(form);
    // Longest first: a form that contains another must go whole.
    const sorted = [...this.#needles].sort((a, b) => b.length - a.length);
    this.#pattern = new RegExp(sorted.map((n) => n.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g');
  }

  /** The text with every registered secret replaced by `***`. */
  mask(text: string): string {
    const known = this.#pattern ? text.replace(this.#pattern, MASK) : text;
    let masked = maskQuerySecrets(known);
    // An access line has a dozen short fields in which there is room for none of these.
    if (masked.length >= WORD_AND_TOKEN_CHARACTERS)
      masked = masked.replace(/\b(Bearer|Basic|token)\s+[\w+/=.~-]{8,}/gi, `$1 ${MASK}`);
    if (masked.includes('=')) masked = masked.replace(/\b(Signature=)[0-9a-f]{16,}/gi, `$1${MASK}`); // of an Authorization header of SigV4
    if (masked.includes('://')) masked = masked.replace(/(:\/\/[^/\s:@]*:)[^/\s@]+@/g, `$1${MASK}@`);
    return masked;
  }

  /** A copy of a log field with every text in it masked; errors become their message, code and cause. */
  maskDeep(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return this.mask(value);
    if (typeof value === 'bigint') return value.toString();
    if (value === null || typeof value !== 'object') return value;
    if (depth > 5) return '…';
    if (value instanceof Error) return this.#maskError(value, depth);
    if (value instanceof Uint8Array) return `<${value.byteLength} bytes>`;
    if (value instanceof Date) return value.toISOString();
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return this.maskDeep((value as { toJSON(): unknown }).toJSON(), depth + 1);
    }
    if (Array.isArray(value)) return value.slice(0, 50).map((v) => this.maskDeep(v, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([k, v]) => [
        this.mask(k),
        isSecretName(k) ? MASK : this.maskDeep(v, depth + 1),
      ]),
    );
  }

  #maskError(error: Error, depth: number): Record<string, unknown> {
    const { code, detail, status } = error as { code?: unknown; detail?: unknown; status?: unknown };
    return {
      name: error.name,
      message: this.mask(error.message),
      ...(code === undefined ? {} : { code: this.maskDeep(code, depth + 1) }),
      ...(detail === undefined ? {} : { detail: this.maskDeep(detail, depth + 1) }),
      ...(status === undefined ? {} : { status: this.maskDeep(status, depth + 1) }),
      ...(error.stack === undefined ? {} : { stack: this.mask(error.stack) }),
      ...(error.cause === undefined ? {} : { cause: this.maskDeep(error.cause, depth + 1) }),
    };
  }
}

function isSecretName(name: string): boolean {
  return /^(authorization|proxy-authorization|cookie|set-cookie|private-token|password|passwd|access_token|client_secret|secret_access_key)$/i.test(
    name,
  );
}

/**
 * base64 groups three bytes, so a secret inside a longer text is encoded in one of three ways. The characters at
 * both ends also depend on the neighbours and are left out.
 */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const base64 = [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const start = [0, 2, 3][offset]!;
    const end = ((offset + bytes.length) * 8) % 6 === 0 ? encoded.length : encoded.length - 1;
    return encoded.slice(start, end);
  });
  const forms = [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
  ];
  forms.push(...base64, ...base64.map((b) => b.replaceAll('+', '-').replaceAll('/', '_')));
  return forms.filter((form) => form.length >= MIN_CHARACTERS);
}
