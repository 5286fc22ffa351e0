import type { KernelQueue } from '../../src/line/uplink.js';

/** Connections of which the kernel has so many bytes each, and does not say what of these is on its way. */
export function queuesOf(...bytes: readonly number[]): KernelQueue[] {
  return bytes.map((one) => ({ bytes: one, onItsWayBytes: undefined }));
}
