/** An AWS SDK client whose every change goes into a history, and what it reads. */
import { GetObjectCommand, GetObjectTaggingCommand, type S3Client, type Tag } from '@aws-sdk/client-s3';
import { ABSENT, outcomeOf, valueOf, type Concern, type History, type Value, type View } from './history.js';

/** The tags of an object are a thing of their own: they can change, and be lost, without its bytes. */
const TAGS = '?tagging';

interface Input {
  readonly Key?: string;
  readonly Body?: unknown;
  readonly CopySource?: string;
  readonly UploadId?: string;
  readonly PartNumber?: number;
  readonly Tagging?: { readonly TagSet: readonly Tag[] };
  readonly Delete?: { readonly Objects: readonly { readonly Key: string }[] };
  readonly MultipartUpload?: { readonly Parts: readonly { readonly PartNumber: number }[] };
}

type Change = readonly [key: string, value: Value];

/**
 * From here on everything that this client changes is in the history of its bucket, with what it was told.
 * @param concern what an acknowledgement promises for a key
 */
export function record(
  client: S3Client,
  history: History,
  concern: (key: string) => Concern = () => 'local',
): S3Client {
  const parts = new Parts();
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const input = args.input as Input;
      const command = String(context['commandName']).replace('Command', '');
      const calls = changesOf(command, input, history, parts).map(([key, value]) =>
        history.begin(key, value, concern(key)),
      );
      let status: number | undefined;
      try {
        const result = await next(args);
        status = 200;
        if (command === 'UploadPart') parts.add(input);
        return result;
      } catch (error) {
        status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
        throw error;
      } finally {
        for (const call of calls) call.ended(outcomeOf(status));
      }
    },
    { step: 'initialize', name: 'recordHistory' },
  );
  return client;
}

function changesOf(command: string, input: Input, history: History, parts: Parts): Change[] {
  const { Key = '' } = input;
  switch (command) {
    case 'PutObject':
      return replaced(history, Key, valueOf(bytesOfBody(input.Body)));
    case 'CopyObject':
      return replaced(history, Key, sourceOf(history, input.CopySource!));
    case 'CompleteMultipartUpload':
      return replaced(history, Key, parts.value(input));
    case 'DeleteObject':
      return replaced(history, Key, ABSENT);
    case 'DeleteObjects':
      return input.Delete!.Objects.flatMap((one) => replaced(history, one.Key, ABSENT));
    case 'PutObjectTagging':
      return [[Key + TAGS, tagsValue(input.Tagging!.TagSet)]];
    case 'DeleteObjectTagging':
      return [[Key + TAGS, ABSENT]];
    default:
      return [];
  }
}

/** An object that is written anew has no tags any more. */
function replaced(history: History, key: string, value: Value): Change[] {
  const hadTags = history.keys.includes(key + TAGS);
  return hadTags
    ? [
        [key, value],
        [key + TAGS, ABSENT],
      ]
    : [[key, value]];
}

function sourceOf(history: History, copySource: string): Value {
  const key = decodeURIComponent(copySource).split('/').slice(1).join('/');
  const possible = history.possible(key);
  if (possible.length !== 1)
    throw new Error(`a copy of ${key}, at which one of ${possible.join(', ')} may stand`);
  return possible[0]!;
}

function tagsValue(tags: readonly Tag[] = []): Value {
  if (tags.length === 0) return ABSENT;
  const sorted = tags.map(({ Key, Value }) => `${Key}=${Value}`).sort();
  return sorted.join('&');
}

function bytesOfBody(body: unknown): Buffer {
  if (typeof body === 'string' || body instanceof Uint8Array) return Buffer.from(body as Uint8Array);
  throw new Error('a history knows bodies that are texts or bytes only');
}

/** Bytes of the parts of open uploads. */
class Parts {
  readonly #bytes = new Map<string, Buffer>();

  add({ UploadId, PartNumber, Body }: Input): void {
    this.#bytes.set(`${UploadId} ${PartNumber}`, bytesOfBody(Body));
  }

  value({ UploadId, MultipartUpload }: Input): Value {
    const bytes = MultipartUpload!.Parts.map(
      ({ PartNumber }) => this.#bytes.get(`${UploadId} ${PartNumber}`) ?? Buffer.alloc(0),
    );
    return valueOf(Buffer.concat(bytes));
  }
}

/** What a GET through the gateway shows, of bytes and of tags. */
export function throughGateway(client: S3Client, Bucket: string): View {
  return async (key) => {
    try {
      if (key.endsWith(TAGS)) {
        const Key = key.slice(0, -TAGS.length);
        return tagsValue((await client.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet);
      }
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: key }));
      return valueOf(await Body!.transformToByteArray());
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return ABSENT;
      throw error;
    }
  };
}

/** Only what stands in an ordinary file of a clone. */
export const isBytes = (key: string): boolean => !key.endsWith(TAGS);
