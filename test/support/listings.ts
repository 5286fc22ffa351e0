import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { S3Bucket } from './s3-bucket.js';
import type { S3Answer } from './s3-client.js';

/** Keys that a listing may trip over: order of UTF-8 against UTF-16, XML, delimiters side by side, odd bytes. */
export const HOSTILE_KEYS: readonly string[] = [
  '!first',
  'a',
  'a b',
  'a+b',
  'a/1',
  'a/2',
  'a/b/1',
  'a/b/2',
  'a0',
  'b//x',
  'b/y',
  'quote"<&>\'',
  'unprintable\u0001\u001f',
  'z',
  '中文/一',
  '中文/二',
  '\uffff',
  '😀',
];

/** What S3 lists of some keys, worked out from the keys alone, and what an answer with encoding-type=url lists. */
export class Listings {
  readonly sorted: readonly string[];

  constructor(private readonly keys: readonly string[]) {
    this.sorted = [...keys].sort(compareBytes);
  }

  async putAll(bucket: S3Bucket): Promise<void> {
    const { s3, Bucket } = bucket;
    await Promise.all(this.keys.map((Key) => s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }))));
  }

  /** Keys strictly after one, there or not. */
  after(marker: string): string[] {
    return this.sorted.filter((key) => compareBytes(key, marker) > 0);
  }

  /** Keys, and prefixes up to the delimiter, each once. */
  rolledUp(prefix: string, delimiter: string): string[] {
    const entries = new Set<string>();
    for (const key of this.keys) {
      if (!key.startsWith(prefix)) continue;
      const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      entries.add(at < 0 ? key : key.slice(0, at + delimiter.length));
    }
    return [...entries];
  }

  keysOf(answer: S3Answer): string[] {
    return answer.xmlAll('Key').map(decodeURIComponent);
  }

  prefixesOf(answer: S3Answer): string[] {
    return answer
      .xmlAll('CommonPrefixes')
      .map((inner) => decodeURIComponent(/<Prefix>(.*)<\/Prefix>/.exec(inner)![1]!));
  }

  entriesOf(answer: S3Answer): string[] {
    return [...this.keysOf(answer), ...this.prefixesOf(answer)];
  }
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
