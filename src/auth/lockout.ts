/**
 * Against guessing: too many failed logins within a window lock an account for an address, and five times as many
 * an address. While a lock holds, right and wrong passwords get the same answer. An account alone is never locked:
 * anybody could lock out anybody.
 */
import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../async/clock.js';

/** More than this many keys at a time push out those that failed longest ago. */
const KEYS_MAX = 20_000;
const ADDRESS_FACTOR = 5;
const IPV6_GROUPS = 8;
/** A customer of IPv6 has 2^64 addresses: they are one. */
const IPV6_GROUPS_COUNTED = 4;

export interface LockoutLimits {
  readonly failures: number;
  readonly windowMs: number;
  readonly durationMs: number;
}

interface Record {
  failedMs: number[];
  lockedUntilMs: number;
}

export class Lockout {
  readonly #records = new LRUCache<string, Record>({ max: KEYS_MAX });

  constructor(
    private readonly limits: LockoutLimits,
    private readonly clock: Clock,
  ) {}

  /** Milliseconds until this account may try again from this address; undefined: now. */
  lockedForMs(account: string, address: string): number | undefined {
    const nowMs = this.clock.steadyMs();
    const untilMs = Math.max(
      ...keysOf(account, address).map(({ key }) => this.#records.get(key)?.lockedUntilMs ?? 0),
    );
    return untilMs > nowMs ? untilMs - nowMs : undefined;
  }

  /** @returns what is locked by this failure. */
  failed(account: string, address: string): ('account' | 'address')[] {
    const nowMs = this.clock.steadyMs();
    const locked: ('account' | 'address')[] = [];
    for (const { key, scope, factor } of keysOf(account, address)) {
      const record = this.#records.get(key) ?? { failedMs: [], lockedUntilMs: 0 };
      this.#records.set(key, record);
      record.failedMs = record.failedMs.filter((atMs) => nowMs - atMs < this.limits.windowMs);
      record.failedMs.push(nowMs);
      if (record.failedMs.length < this.limits.failures * factor || record.lockedUntilMs > nowMs) continue;
      record.failedMs = [];
      record.lockedUntilMs = nowMs + this.limits.durationMs;
      locked.push(scope);
    }
    return locked;
  }

  /** Forgets the failures of the account there; those of the address stay: a guesser may own one account. */
  succeeded(account: string, address: string): void {
    this.#records.delete(keysOf(account, address)[0].key);
  }
}

interface Key {
  readonly key: string;
  readonly scope: 'account' | 'address';
  readonly factor: number;
}

function keysOf(account: string, address: string): [Key, Key] {
  const network = networkOf(address);
  // Names may be of any length; what is kept is not.
  const name = account.toLowerCase().slice(0, 100);
  return [
    { key: `account ${network} ${name}`, scope: 'account', factor: 1 },
    { key: `address ${network}`, scope: 'address', factor: ADDRESS_FACTOR },
  ];
}

/** The address itself, or the first 64 bits of one of IPv6. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = Array<string>(tail === undefined ? 0 : IPV6_GROUPS - left.length - right.length).fill('0');
  return [...left, ...middle, ...right]
    .slice(0, IPV6_GROUPS_COUNTED)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':');
}
