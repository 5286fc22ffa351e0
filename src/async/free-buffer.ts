/** Below it a buffer costs V8 less than giving it back does, and may lie in a slab with others. */
const WORTH_IT_BYTES = 8 * 1024;

/**
 * Gives the memory of a buffer back at once, instead of at the next collection of garbage: V8 looks through its whole
 * heap for each 64 MiB of buffers that come and go, which was the half of what a large upload took. The buffer is empty
 * afterwards. So nobody may need it any more, the system included. One that shares its memory with others is passed
 * over.
 */
export function freeBuffer(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (bytes.length < WORTH_IT_BYTES || bytes.length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
