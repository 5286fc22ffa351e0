/** A bucket as S3 describes it, in a map: what random commands against a real gateway are compared with. */
export interface ModelObject {
  readonly bytes: Buffer;
  readonly etag: string;
  /** As HTTP tells it; learned when the object was written, and never another one until it is written again. */
  readonly lastModified: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ModelListing {
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}

export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export class ModelBucket {
  readonly #objects = new Map<string, ModelObject>();

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
  }

  keys(): string[] {
    return [...this.#objects.keys()].sort(byBytes);
  }

  /** ListObjects without pages: every common prefix once. */
  list(prefix: string, delimiter: string, after: string): ModelListing {
    const keys: string[] = [];
    const prefixes = new Set<string>();
    for (const key of this.keys()) {
      if (!key.startsWith(prefix)) continue;
      const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      const entry = at < 0 ? key : key.slice(0, at + delimiter.length);
      if (byBytes(entry, after) <= 0) continue;
      if (at < 0) keys.push(key);
      else prefixes.add(entry);
    }
    return { keys, prefixes: [...prefixes] };
  }
}
