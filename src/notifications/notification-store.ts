/**
 * What is not yet delivered, on disk. An event is acknowledged to the registry only when its rows are here, so a
 * kill between acknowledgement and delivery loses nothing; ids that were seen are kept beside, in the same commit.
 *
 *   seen    's' id                    time in ms, 8 bytes
 *   ages    'a' time, 8 bytes, id     ''
 *   queue   'q' target 0x00 seq       delivery as JSON
 *   dead    'd' target 0x00 seq       delivery as JSON, given up
 */
import { joinBytes, prefixEnd, readU64, u64, utf8 } from '../index/key-bytes.js';
import type { Entry, KeyValueStore, Write } from '../index/key-value-store.js';
import type { RegistryEvent } from './registry-event.js';

interface Delivery {
  readonly event: RegistryEvent;
  readonly acceptedMs: number;
  readonly attempts: number;
  /** What the last attempt ended with; no secret. */
  readonly lastError?: string;
}

export interface StoredDelivery extends Delivery {
  readonly target: string;
  readonly seq: number;
}

export interface Counts {
  readonly queued: number;
  readonly dead: number;
}

/** An event and who is told of it. */
export interface Accepted {
  readonly event: RegistryEvent;
  readonly targets: readonly string[];
  /** Targets whose queue is full: dead letters from the start. */
  readonly overflow: readonly string[];
}

type Table = 'q' | 'd';

const PAGE = 500;
const EMPTY = new Uint8Array(0);

export class NotificationStore {
  readonly #counts = new Map<string, { queued: number; dead: number }>();
  #seq = 0;

  private constructor(private readonly store: KeyValueStore) {}

  /** Counts what is there. The store is for notifications alone; the caller closes it. */
  static async open(store: KeyValueStore): Promise<NotificationStore> {
    const opened = new NotificationStore(store);
    for (const table of ['q', 'd'] as const) {
      for await (const { target, seq } of opened.#rows(table)) {
        opened.#add(target, table, 1);
        opened.#seq = Math.max(opened.#seq, seq);
      }
    }
    return opened;
  }

  counts(target: string): Counts {
    return this.#counts.get(target) ?? { queued: 0, dead: 0 };
  }

  /** Every target that has rows, configured or not. */
  targets(): string[] {
    return [...this.#counts.keys()];
  }

  async isSeen(id: string): Promise<boolean> {
    return (await this.store.get(seenKey(id))) !== undefined;
  }

  /** Keeps events and what is to be delivered of them; durable when it resolves. One caller at a time. */
  async accept(items: readonly Accepted[], nowMs: number): Promise<void> {
    const writes: Write[] = [];
    for (const { event, targets, overflow } of items) {
      writes.push(
        { key: seenKey(event.id), value: u64(nowMs) },
        { key: ageKey(nowMs, event.id), value: EMPTY },
      );
      for (const target of targets) {
        const delivery: Delivery = { event, acceptedMs: nowMs, attempts: 0 };
        writes.push({ key: rowKey('q', target, this.#nextSeq()), value: encode(delivery) });
      }
      for (const target of overflow) {
        const delivery: Delivery = { event, acceptedMs: nowMs, attempts: 0, lastError: 'the queue was full' };
        writes.push({ key: rowKey('d', target, this.#nextSeq()), value: encode(delivery) });
      }
    }
    await this.store.commit([], writes);
    for (const { targets, overflow } of items) {
      for (const target of targets) this.#add(target, 'q', 1);
      for (const target of overflow) this.#add(target, 'd', 1);
    }
  }

  /** The oldest delivery of a target. */
  async first(target: string): Promise<StoredDelivery | undefined> {
    const [entry] = await this.store.page(...range('q', target), 1);
    return entry && decode(entry);
  }

  /** Keeps how an attempt ended. */
  async update(row: StoredDelivery): Promise<void> {
    await this.store.commit([], [{ key: rowKey('q', row.target, row.seq), value: encode(row) }]);
  }

  async complete(row: StoredDelivery): Promise<void> {
    await this.#change(row.target, 'q', [{ key: rowKey('q', row.target, row.seq), value: undefined }], -1);
  }

  /** Gives a delivery up; it stays until somebody retries or drops it, or `deadMax` newer ones push it out. */
  async bury(row: StoredDelivery, deadMax: number): Promise<void> {
    const { target, seq } = row;
    const writes: Write[] = [
      { key: rowKey('q', target, seq), value: undefined },
      { key: rowKey('d', target, this.#nextSeq()), value: encode(row) },
    ];
    const pushedOut = this.counts(target).dead >= deadMax ? await this.#oldestDead(target) : undefined;
    if (pushedOut) writes.push({ key: pushedOut.key, value: undefined });
    await this.store.commit([], writes);
    this.#add(target, 'q', -1);
    if (!pushedOut) this.#add(target, 'd', 1);
  }

  /** Oldest first. */
  async *dead(target?: string): AsyncGenerator<StoredDelivery> {
    yield* this.#rows('d', target);
  }

  /** What waits for a target, oldest first. */
  async *queued(target: string): AsyncGenerator<StoredDelivery> {
    yield* this.#rows('q', target);
  }

  /** Puts a dead letter at the end of its queue, with all its time again. */
  async revive(row: StoredDelivery, nowMs: number): Promise<void> {
    const { target, seq, event } = row;
    await this.store.commit(
      [],
      [
        { key: rowKey('d', target, seq), value: undefined },
        {
          key: rowKey('q', target, this.#nextSeq()),
          value: encode({ event, acceptedMs: nowMs, attempts: 0 }),
        },
      ],
    );
    this.#add(target, 'd', -1);
    this.#add(target, 'q', 1);
  }

  async drop(row: StoredDelivery): Promise<void> {
    await this.#change(row.target, 'd', [{ key: rowKey('d', row.target, row.seq), value: undefined }], -1);
  }

  /** Forgets ids that were seen before this time. */
  async forgetSeen(beforeMs: number): Promise<void> {
    for (;;) {
      const page = await this.store.page(utf8('a'), joinBytes(utf8('a'), u64(beforeMs)), PAGE);
      if (page.length === 0) return;
      const writes = page.flatMap(({ key }) => [
        { key, value: undefined },
        { key: joinBytes(utf8('s'), key.subarray(1 + 8)), value: undefined },
      ]);
      await this.store.commit([], writes);
    }
  }

  async #oldestDead(target: string): Promise<Entry | undefined> {
    return (await this.store.page(...range('d', target), 1))[0];
  }

  async #change(target: string, table: Table, writes: Write[], by: number): Promise<void> {
    await this.store.commit([], writes);
    this.#add(target, table, by);
  }

  async *#rows(table: Table, target?: string): AsyncGenerator<StoredDelivery> {
    const [start, end] = range(table, target);
    let from = start;
    for (;;) {
      const page = await this.store.page(from, end, PAGE);
      for (const entry of page) yield decode(entry);
      const last = page.at(-1);
      if (!last || page.length < PAGE) return;
      from = joinBytes(last.key, Uint8Array.of(0));
    }
  }

  #nextSeq(): number {
    this.#seq += 1;
    return this.#seq;
  }

  #add(target: string, table: Table, n: number): void {
    const counts = this.#counts.get(target) ?? { queued: 0, dead: 0 };
    if (table === 'q') counts.queued += n;
    else counts.dead += n;
    this.#counts.set(target, counts);
  }
}

const seenKey = (id: string) => joinBytes(utf8('s'), utf8(id));
const ageKey = (ms: number, id: string) => joinBytes(utf8('a'), u64(ms), utf8(id));
const tableKey = (table: Table, target: string) => joinBytes(utf8(table), utf8(target), Uint8Array.of(0));
const rowKey = (table: Table, target: string, seq: number) => joinBytes(tableKey(table, target), u64(seq));

function range(table: Table, target?: string): [Uint8Array, Uint8Array] {
  const prefix = target === undefined ? utf8(table) : tableKey(table, target);
  return [prefix, prefixEnd(prefix)];
}

function encode({ event, acceptedMs, attempts, lastError }: Delivery): Uint8Array {
  return utf8(JSON.stringify({ event, acceptedMs, attempts, lastError }));
}

function decode({ key, value }: Entry): StoredDelivery {
  const end = key.indexOf(0);
  const delivery = JSON.parse(Buffer.from(value).toString('utf8')) as Delivery;
  return {
    ...delivery,
    target: Buffer.from(key.subarray(1, end)).toString('utf8'),
    seq: readU64(key, end + 1),
  };
}
