import { SEALER_KEY_BYTES } from '../sealer.js';

/** The key that is written as 64 hexadecimal digits or as base64 of 32 bytes; undefined where it is neither. */
export function parseEncryptionKey(text: string): Uint8Array | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (!/^[\w+/-]{43}=?$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === SEALER_KEY_BYTES ? bytes : undefined;
}
