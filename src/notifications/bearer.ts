/** `Authorization: Bearer`, compared in a time that says nothing about the token. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** @param header the whole field, undefined where there is none. */
export function isBearer(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return given !== undefined && timingSafeEqual(hash(given), hash(token));
}
