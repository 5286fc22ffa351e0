/**
 * A bucket as S3 describes it, in a map: what random commands against a real gateway are compared with. It has no
 * clock and no hash of its own: ETag and Last-Modified of an object are what the gateway said when it was written,
 * and must be that until it is written again.
 */
export interface ModelObject {
  readonly bytes: Buffer;
  readonly etag: string;
  /** As HTTP tells it. */
  readonly lastModified: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

/** What a request says of an object that is to be. */
export interface ModelContent {
  readonly bytes: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ModelListing {
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}

export interface ModelPart {
  readonly bytes: Buffer;
  readonly etag: string;
}

export interface ModelUpload {
  readonly id: string;
  readonly key: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly parts: Map<number, ModelPart>;
}

/** Conditions of a write; an ETag stands for itself, `*` for any. */
export interface ModelConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
}

/** Status and code of an answer; `[200]` where there is no error. */
export type ModelAnswer = readonly [status: number, code?: string];

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** AWS "Amazon S3 multipart upload limits". */
const PART_MIN_BYTES = 5 * 1024 * 1024;
const OK: ModelAnswer = [200];
const NO_KEY: ModelAnswer = [404, 'NoSuchKey'];
const NO_UPLOAD: ModelAnswer = [404, 'NoSuchUpload'];
const FAILED: ModelAnswer = [412, 'PreconditionFailed'];

export class ModelBucket {
  readonly #objects = new Map<string, ModelObject>();
  readonly #uploads = new Map<string, ModelUpload>();
  /** Completed uploads, with the parts of their Complete: the same again is answered the same. */
  readonly #completed = new Map<string, { readonly parts: string; readonly etag: string }>();

  get(key: string): ModelObject | undefined {
    return this.#objects.get(key);
  }

  set(key: string, object: ModelObject): void {
    this.#objects.set(key, object);
  }

  delete(key: string): void {
    this.#objects.delete(key);
  }

  clear(): void {
    this.#objects.clear();
    this.#uploads.clear();
    this.#completed.clear();
  }

  keys(): string[] {
    return [...this.#objects.keys()].sort(byBytes);
  }

  /** AWS "How to prevent object overwrites with conditional writes", and the same for deletes. */
  mayWrite(key: string, conditions: ModelConditions): ModelAnswer {
    const current = this.#objects.get(key);
    if (conditions.ifNoneMatch !== undefined && current) return FAILED;
    if (conditions.ifMatch === undefined) return OK;
    if (!current) return NO_KEY;
    return conditions.ifMatch === '*' || conditions.ifMatch === current.etag ? OK : FAILED;
  }

  /** CopyObject. The copy, or the answer that there is none. */
  copy(
    from: string,
    to: string,
    replaced: { metadata?: Record<string, string>; tags?: Record<string, string> },
  ): ModelContent | ModelAnswer {
    const source = this.#objects.get(from);
    const changes = replaced.metadata !== undefined || replaced.tags !== undefined;
    if (from === to && !changes) return [400, 'InvalidRequest'];
    if (!source) return NO_KEY;
    return {
      bytes: source.bytes,
      metadata: replaced.metadata ?? source.metadata,
      tags: replaced.tags ?? source.tags,
    };
  }

  /** GetObject with `bytes=from-to`: the bytes, or the status of the refusal. */
  range(key: string, from: number, to: number): Buffer | 404 | 416 {
    const object = this.#objects.get(key);
    if (!object) return 404;
    return from >= object.bytes.length ? 416 : object.bytes.subarray(from, to + 1);
  }

  /**
   * ListObjects without pages: every common prefix once. A marker inside a common prefix shows that prefix still,
   * where a key of it stands behind the marker; the prefix itself as marker passes over all of it.
   */
  list(prefix: string, delimiter: string, after: string): ModelListing {
    const keys: string[] = [];
    const prefixes = new Set<string>();
    for (const key of this.keys()) {
      if (!key.startsWith(prefix) || byBytes(key, after) <= 0) continue;
      const rolled = rollUp(key, prefix, delimiter);
      if (rolled === undefined) keys.push(key);
      // One that the marker lies in sorts before it, and was seen.
      else if (byBytes(rolled, after) > 0) prefixes.add(rolled);
    }
    return { keys, prefixes: [...prefixes] };
  }

  openUpload(id: string, key: string, metadata: Record<string, string>): void {
    this.#uploads.set(id, { id, key, metadata, parts: new Map() });
  }

  /** Open uploads, in the order of a listing. */
  uploads(): ModelUpload[] {
    return [...this.#uploads.values()].sort((a, b) => byBytes(a.key, b.key) || byBytes(a.id, b.id));
  }

  putPart(id: string, number: number, part: ModelPart): void {
    this.#uploads.get(id)!.parts.set(number, part);
  }

  abort(id: string): ModelAnswer {
    return this.#uploads.delete(id) ? OK : NO_UPLOAD;
  }

  /** CompleteMultipartUpload of these parts: what comes to stand at the key, or the answer. */
  complete(
    id: string,
    numbers: readonly number[],
    conditions: ModelConditions,
  ): { readonly key: string; readonly content: ModelContent } | ModelAnswer {
    const upload = this.#uploads.get(id);
    if (!upload) return this.#completed.get(id)?.parts === numbers.join() ? OK : NO_UPLOAD;
    if (numbers.length === 0) return [400, 'MalformedXML'];
    if (numbers.some((n, i) => i > 0 && n <= numbers[i - 1]!)) return [400, 'InvalidPartOrder'];
    const parts = numbers.map((n) => upload.parts.get(n));
    if (parts.includes(undefined)) return [400, 'InvalidPart'];
    const bytes = parts.map((part) => part!.bytes);
    if (bytes.slice(0, -1).some((b) => b.length < PART_MIN_BYTES)) return [400, 'EntityTooSmall'];
    const may = this.mayWrite(upload.key, conditions);
    if (may[0] !== 200) return may;
    return { key: upload.key, content: { bytes: Buffer.concat(bytes), metadata: upload.metadata, tags: {} } };
  }

  /** A gateway on an empty state directory knows nothing of former uploads. */
  forgetCompleted(): void {
    this.#completed.clear();
  }

  completed(id: string, numbers: readonly number[], etag: string): void {
    this.#uploads.delete(id);
    this.#completed.set(id, { parts: numbers.join(), etag });
  }

  /** ETag that a Complete said, and says again. */
  etagOf(id: string): string | undefined {
    return this.#completed.get(id)?.etag;
  }
}

function rollUp(key: string, prefix: string, delimiter: string): string | undefined {
  const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}
