import { nameOfUpload, type OpenUpload, type UploadStore } from '../journal/upload-store.js';
import type { UploadInfo } from './api.js';
import { afterKey, keyBytes, prefixEnd } from './key-order.js';
import { rollUp } from './listing.js';
import { uploadInfo } from './multipart.js';

export interface UploadListRequest {
  readonly prefix: string;
  readonly delimiter?: string;
  readonly keyMarker?: string;
  readonly uploadIdMarker?: string;
  readonly limit: number;
}

export interface UploadListResult {
  uploads: UploadInfo[];
  commonPrefixes: string[];
  truncated: boolean;
  nextKeyMarker?: string;
  nextUploadIdMarker?: string;
}

/**
 * ListMultipartUploads. An upload's name in the roll-up is `key NUL uploadId`, so that several uploads of one key
 * stand side by side in the order of their start. The registry's 3.x driver pages with an upload-id-marker
 * alone: then the key of that upload is looked up first.
 */
export async function listUploads(
  uploads: Pick<UploadStore, 'page'>,
  request: UploadListRequest,
): Promise<UploadListResult> {
  const after = await markerName(uploads, request);
  const page = await rollUp<OpenUpload>(
    async (start, end, limit) =>
      (await uploads.page(start, end, limit)).map((upload) => ({ key: nameOfUpload(upload), item: upload })),
    {
      prefix: request.prefix,
      ...(request.delimiter ? { delimiter: request.delimiter } : {}),
      ...(after !== undefined ? { after } : {}),
      limit: request.limit,
      // An upload id may hold the delimiter too; it is no part of the key.
      keyOf: (name) => splitName(name).key,
    },
  );
  const last = page.last === undefined ? undefined : splitName(page.last);
  return {
    uploads: page.items.map(({ item }) => uploadInfo(item)),
    commonPrefixes: page.commonPrefixes,
    truncated: page.truncated,
    ...(page.truncated && last
      ? { nextKeyMarker: last.key, ...(last.uploadId ? { nextUploadIdMarker: last.uploadId } : {}) }
      : {}),
  };
}

/** A common prefix has no upload id. A key may hold NUL, an upload id does not. */
function splitName(name: string): { key: string; uploadId: string } {
  const at = name.lastIndexOf('\0');
  return at < 0 ? { key: name, uploadId: '' } : { key: name.slice(0, at), uploadId: name.slice(at + 1) };
}

async function markerName(
  uploads: Pick<UploadStore, 'page'>,
  request: UploadListRequest,
): Promise<string | undefined> {
  const { keyMarker, uploadIdMarker } = request;
  if (keyMarker) {
    if (uploadIdMarker) return `${keyMarker}\0${uploadIdMarker}`;
    // A common prefix of the page before is passed over whole.
    const { prefix, delimiter } = request;
    const at = delimiter && keyMarker.startsWith(prefix) ? keyMarker.indexOf(delimiter, prefix.length) : -1;
    if (delimiter && at >= 0 && at + delimiter.length === keyMarker.length) return keyMarker;
    // After all uploads of this key: ids are hex digits, which stand before '~'.
    return `${keyMarker}\0~`;
  }
  if (!uploadIdMarker) return undefined;
  let start = request.prefix;
  const endText = prefixEnd(request.prefix);
  for (;;) {
    const rows = await uploads.page(start, endText === undefined ? undefined : keyBytes(endText), 500);
    const found = rows.find((row) => row.uploadId === uploadIdMarker);
    if (found) return nameOfUpload(found);
    const last = rows.at(-1);
    if (!last) return undefined;
    start = afterKey(nameOfUpload(last));
  }
}
