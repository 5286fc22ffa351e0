import { readErrorText, readText } from '../http/answer.js';
import type { HttpClient } from '../http/client.js';
import type { CallTimeouts } from '../http/watch.js';

/** git-lfs docs/api/batch.md: both Accept and Content-Type; some servers refuse any other text with 406. */
export const LFS_MEDIA_TYPE = 'application/vnd.git-lfs+json';

/** Some hundred bytes an object, with a signed link: a thousand of them stay below that. */
const ANSWER_MAX_BYTES = 16 * 1024 * 1024;

export interface BatchRequest {
  readonly http: HttpClient;
  /** `https://host/owner/name.git/info/lfs` */
  readonly endpointUrl: string;
  readonly operation: 'upload' | 'download';
  readonly objects: readonly { readonly oid: string; readonly sizeBytes: number }[];
  /** None: asked without a login. */
  readonly authorization?: string;
  readonly what: string;
  readonly timeouts?: CallTimeouts | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RawBatchAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** One batch call, whatever comes back; nothing is judged here. @throws RemoteError as HttpClient.send does */
export async function requestBatch(request: BatchRequest): Promise<RawBatchAnswer> {
  const { authorization, timeouts, signal } = request;
  const answer = await request.http.send({
    what: request.what,
    method: 'POST',
    url: `${request.endpointUrl}/objects/batch`,
    headers: {
      accept: LFS_MEDIA_TYPE,
      'content-type': LFS_MEDIA_TYPE,
      ...(authorization === undefined ? {} : { authorization }),
    },
    body: JSON.stringify({
      operation: request.operation,
      transfers: ['basic'],
      hash_algo: 'sha256',
      objects: request.objects.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes })),
    }),
    ...(timeouts ? { timeouts } : {}),
    ...(signal ? { signal } : {}),
  });
  const { status, headers } = answer;
  if (status < 200 || status > 299) return { status, headers, text: await readErrorText(answer) };
  // A body that is too long is cut, and then is no JSON.
  return { status, headers, text: (await readText(answer, ANSWER_MAX_BYTES)).text };
}
