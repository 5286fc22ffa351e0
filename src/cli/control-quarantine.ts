import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { QuarantineAdmin, QuarantinedChange, QuarantineRetry } from '../server/quarantine.js';

export interface ControlCalls {
  json<T>(path: string, body: unknown): Promise<T>;
  lines<T>(path: string, body: unknown): AsyncIterable<T>;
  send(path: string, body: unknown): Promise<IncomingMessage>;
}

/** Changes that were set aside, of a gateway that runs. */
export class ControlQuarantine implements QuarantineAdmin {
  constructor(private readonly calls: ControlCalls) {}

  list(bucket?: string): AsyncIterable<QuarantinedChange> {
    return this.calls.lines('/v1/quarantine/list', bucket === undefined ? {} : { bucket });
  }

  retry(bucket: string, key?: string): Promise<QuarantineRetry> {
    return this.calls.json('/v1/quarantine/retry', { bucket, ...(key === undefined ? {} : { key }) });
  }

  read(bucket: string, key: string): Promise<Readable> {
    return this.calls.send('/v1/quarantine/read', { bucket, key });
  }

  async drop(bucket: string, key: string): Promise<boolean> {
    return (await this.calls.json<{ dropped: boolean }>('/v1/quarantine/drop', { bucket, key })).dropped;
  }
}
