import { BodyDigests } from '../chunks/digests.js';
import type { BodyPromise } from './api.js';
import { checkBody, digestsFor } from './body-check.js';

/**
 * Checks a document that was read whole against all that was promised of it, as the body of an object is.
 * @throws ObjectError incomplete-body, bad-digest, content-sha256-mismatch, checksum-mismatch.
 */
export function checkDocument(bytes: Uint8Array, promise: BodyPromise): void {
  const digests = new BodyDigests(digestsFor(promise, false));
  digests.update(bytes);
  checkBody({ sizeBytes: bytes.length, bytes, extents: [], digests: digests.finish() }, promise);
}
