import { LRUCache } from 'lru-cache';
import { isExpired, type Link } from './link.js';

/** What a batch answer offers for one object. */
export interface Offer {
  readonly transfer: Link;
  /** After an upload, where the server wants it. */
  readonly verify?: Link;
}

/** Links of transfers that failed half-way: a further try asks no second batch while they are good. */
export class LinkCache {
  readonly #offers = new LRUCache<string, Offer>({ max: 256 });

  get(operation: 'upload' | 'download', oid: string, steadyMs: number): Offer | undefined {
    const offer = this.#offers.get(`${operation} ${oid}`);
    if (!offer) return undefined;
    if (!isExpired(offer.transfer, steadyMs)) return offer;
    this.forget(operation, oid);
    return undefined;
  }

  keep(operation: 'upload' | 'download', oid: string, offer: Offer): void {
    this.#offers.set(`${operation} ${oid}`, offer);
  }

  forget(operation: 'upload' | 'download', oid: string): void {
    this.#offers.delete(`${operation} ${oid}`);
  }
}
