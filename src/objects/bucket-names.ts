/** AWS "General purpose bucket naming rules". */

/** 3 to 63 of a-z, 0-9, `-` and `.`, a letter or digit at both ends. */
const FORM = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const IP_ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;
/** Beginnings and ends that S3 keeps for itself. */
const RESERVED = /^(?:xn--|sthree-|amzn-s3-demo-)|(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/;

/** True where S3 would let a new bucket have this name. */
export function isBucketName(name: string): boolean {
  return FORM.test(name) && !name.includes('..') && !IP_ADDRESS.test(name) && !RESERVED.test(name);
}
