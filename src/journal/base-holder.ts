import type { KeyIndex } from '../index/key-index.js';
import type { ObjectBody, ObjectRecord } from '../index/object-record.js';
import { StorageError } from '../index/errors.js';

/** The base of a bucket, which a rebuild may replace under its readers. */
export class BaseHolder {
  #current: KeyIndex | undefined;
  /** The one before: readers that have a record of it may still open its body. */
  #retired: KeyIndex | undefined;

  constructor(current: KeyIndex | undefined) {
    this.#current = current;
  }

  get ready(): boolean {
    return this.#current !== undefined;
  }

  /** undefined before the first fetch. */
  get peek(): KeyIndex | undefined {
    return this.#current;
  }

  /** @throws StorageError not-ready before the first fetch of a new state directory. */
  get current(): KeyIndex {
    if (!this.#current)
      throw new StorageError('not-ready', 'the index of the bucket is being fetched from Gitee');
    return this.#current;
  }

  async replace(index: KeyIndex): Promise<void> {
    const oldest = this.#retired;
    this.#retired = this.#current;
    this.#current = index;
    await oldest?.close();
  }

  async openBody(record: ObjectRecord): Promise<ObjectBody> {
    try {
      return await this.current.openBody(record);
    } catch (error) {
      const retired = this.#retired;
      if (!retired || !(error instanceof StorageError) || error.code !== 'corrupt') throw error;
      return retired.openBody(record);
    }
  }

  async close(): Promise<void> {
    await this.#retired?.close();
    await this.#current?.close();
  }
}
