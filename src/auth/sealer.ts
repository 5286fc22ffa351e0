/**
 * Keeps Gitee tokens unreadable in the state directory: AES-256-GCM under `auth.encryption_key`. The context (what
 * the value is and whose) is authenticated with it, so a sealed value copied to another place does not open there.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export const SEALER_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** In front of every sealed value, so that a later form can be told from this one. */
const FORM = 'v1.';

export class Sealer {
  readonly #key: Uint8Array;

  /** @throws RangeError where the key is not 32 bytes. */
  constructor(key: Uint8Array) {
    if (key.length !== SEALER_KEY_BYTES)
      throw new RangeError(`an encryption key has ${SEALER_KEY_BYTES} bytes, this one has ${key.length}`);
    this.#key = key.slice();
  }

  /** Text that only open() with the same key and context turns back; another one each time. */
  seal(plain: string, context: string): string {
    // Random nonces of 96 bits: NIST SP 800-38D §8.3 allows 2^32 of them per key, far more than logins here.
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(context, 'utf8'));
    const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
    return FORM + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url');
  }

  /** The plain text; undefined where it was sealed with another key or context, or was changed. */
  open(sealed: string, context: string): string | undefined {
    if (!sealed.startsWith(FORM)) return undefined;
    const bytes = Buffer.from(sealed.slice(FORM.length), 'base64url');
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(context, 'utf8'));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    try {
      const body = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([body, decipher.final()]).toString('utf8');
    } catch {
      // The only failure that is left here is a tag that does not fit.
      return undefined;
    }
  }
}
