/**
 * Branded identifiers. Mixing them up loses data, so the compiler keeps them apart.
 */

/** SHA-256 of a chunk, 64 lower-case hex digits; the oid of Git LFS (pointer spec v1). */
export type Oid = string & { readonly __oid: true };

/** An S3 object key: any well-formed UTF-8 string of 1 to 1,024 bytes. */
export type ObjectKey = string & { readonly __objectKey: true };

/** Full hex id of a git commit (40 digits). */
export type CommitId = string & { readonly __commitId: true };

/** A path in the git tree below `path_prefix`, escaped, with `/` between components. */
export type TreePath = string & { readonly __treePath: true };

const OID = /^[0-9a-f]{64}$/;

/** Returns the text as an Oid, or throws RangeError where it is not 64 lower-case hex digits. */
export function toOid(text: string): Oid {
  if (!OID.test(text))
    throw new RangeError(`not a SHA-256 in lower-case hex: ${JSON.stringify(text.slice(0, 80))}`);
  return text as Oid;
}
