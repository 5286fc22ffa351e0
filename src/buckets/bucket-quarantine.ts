import { Readable } from 'node:stream';
import { byOperator, type Audit } from '../async/audit.js';
import type { ObjectKey } from '../format/ids.js';
import type { QuarantineRow } from '../journal/overlay-rows.js';
import type { BucketParts } from './parts.js';
import type { QuarantineAdmin, QuarantinedChange, QuarantineRetry } from './quarantine.js';

/** Told at most, of those that stay. */
const LEFT_MAX = 1_000;

/** What Gitee does not take of the gateway's buckets. */
export class BucketQuarantine implements QuarantineAdmin {
  constructor(
    private readonly chosen: (bucket: string | undefined) => readonly BucketParts[],
    private readonly audit: Audit,
  ) {}

  async *list(bucket?: string): AsyncGenerator<QuarantinedChange> {
    for (const { bucket: of, open } of this.chosen(bucket))
      for await (const row of open.setAside.rows()) yield viewOf(of.name, row);
  }

  retry(bucket: string, key?: string): Promise<QuarantineRetry> {
    const { open } = this.#one(bucket);
    return byOperator(this.audit, 'quarantine.retry', subjectOf(bucket, key), async () => {
      const rows: Pick<QuarantineRow, 'key' | 'seq' | 'shown'>[] = [];
      for await (const { key: of, seq, shown } of open.setAside.rows())
        if (key === undefined || of === key) rows.push({ key: of, seq, shown });
      if (key !== undefined && rows.length === 0) throw notThere(bucket, key);
      let retried = 0;
      const left: { key: string; why: string }[] = [];
      for (const row of rows.sort((a, b) => a.seq - b.seq)) {
        if ((await open.setAside.retry(row.key)) !== undefined) retried += 1;
        else if (left.length < LEFT_MAX) left.push({ key: row.key, why: row.shown ? NEWER : SNAPSHOT });
      }
      return { retried, left };
    });
  }

  async read(bucket: string, key: string): Promise<Readable> {
    const { chunks, open } = this.#one(bucket);
    const row = await open.setAside.row(key as ObjectKey);
    if (!row) throw notThere(bucket, key);
    if (!row.record) throw new RangeError(`what was set aside of ${key} is a deletion: it has no bytes`);
    const body = await open.state.openBody(row.record);
    if (body.kind === 'plain') return Readable.from(body.bytes.length === 0 ? [] : [body.bytes]);
    return chunks.read(body.list, 0, row.record.sizeBytes);
  }

  drop(bucket: string, key: string): Promise<boolean> {
    const { open } = this.#one(bucket);
    return byOperator(this.audit, 'quarantine.drop', subjectOf(bucket, key), async () => {
      const row = await open.setAside.row(key as ObjectKey);
      return row !== undefined && (await open.setAside.drop(row));
    });
  }

  #one(bucket: string): BucketParts {
    const [one] = this.chosen(bucket) as [BucketParts];
    return one;
  }
}

const NEWER = 'the key was written since, here or on Gitee: that is the newer change';
const SNAPSHOT = 'it is of a restored snapshot, older than Gitee: export it, and upload it again';

function viewOf(bucket: string, row: QuarantineRow): QuarantinedChange {
  const { code, key, message, record, seq, shown, sinceMs } = row;
  return {
    ...{ bucket, key, seq, message, shown },
    since: new Date(sinceMs).toISOString(),
    reason: code,
    what: record ? 'write' : 'deletion',
    sizeBytes: record?.sizeBytes ?? 0,
  };
}

function subjectOf(bucket: string, key: string | undefined): string {
  return key === undefined ? bucket : `${bucket}/${key}`;
}

function notThere(bucket: string, key: string): RangeError {
  return new RangeError(`no change of ${key} is in quarantine in bucket ${bucket}`);
}
