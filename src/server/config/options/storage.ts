/** How objects are cut, kept here and brought to Gitee. Rows of the table of options (src/server/config/options.ts). */
import { choice, duration, group, integer, rate, size } from '../option.js';

const MIB = 1024 ** 2;

export const STORAGE_OPTIONS = {
  chunk_size: size({
    default: '8MiB',
    minBytes: 5 * MIB,
    maxBytes: 1024 * MIB,
    fits: 'must be a size from 5MiB to 1GiB',
    about:
      "Largest piece that an object is cut into. Make it equal to the registry's chunksize. Objects that are stored already keep their pieces.",
  }),
  inline_limit: size({
    default: '64KiB',
    maxBytes: MIB,
    fits: 'must be a size up to 1MiB',
    about: 'Objects up to this size are ordinary files in git; larger ones go to LFS.',
  }),
  eager_from: size({
    default: '5MiB',
    about:
      'The end of a body is sent to Gitee at once from this size on, and else when the line is idle or its commit comes; full chunks always are.',
  }),
  spool_soft: size({
    default: '4GiB',
    about: 'Bytes not yet on Gitee from which on uploads are refused with 503 SlowDown after a wait.',
  }),
  spool_hard: size({
    default: '16GiB',
    about: 'Bytes not yet on Gitee from which on every write is refused at once.',
  }),
  disk_reserve: size({
    default: '1GiB',
    about: 'Free disk space that is never used: below it writes are refused, and nothing breaks.',
  }),
  cache: group('Chunks kept on disk for reading.', {
    max_bytes: size({ default: '20GiB', about: 'Size of the cache; at most half of the disk is used.' }),
    grace_max_bytes: size({
      default: '4GiB',
      about:
        'Beside the cache: what was pushed stays here for a day after Gitee has it, but no more than this; at most a quarter of the disk is used.',
    }),
  }),
  uplink_initial: rate({
    default: '1MiB',
    about:
      'Line speed to Gitee (bytes per second) that is assumed until one was measured; what was measured is kept over a restart (as at least 64 KiB and at most 125 MB per second).',
  }),
  commit: group('When waiting changes become a commit on Gitee (a barrier does it at once).', {
    interval: duration({
      default: '60s',
      minMs: 10,
      about: 'The oldest waiting change is at most this old.',
    }),
    max_changes: integer({ default: '10000', min: 1, max: 1_000_000, about: 'Or so many changes wait.' }),
  }),
  poll_interval: duration({
    default: '60s',
    minMs: 100,
    about: 'How often the branch is read for changes made by others.',
  }),
  barrier: group('Writes that wait for Gitee.', {
    hold: duration({
      default: '90s',
      minMs: 100,
      about:
        'How long such a write waits while nothing gets through to Gitee, before it is answered 503: stored here, not yet on Gitee, will land.',
    }),
    hold_max: duration({
      default: '10m',
      minMs: 100,
      about: 'How long it waits in all, while uploads or commits get through.',
    }),
  }),
  local_key_ttl: duration({
    default: '24h',
    minMs: 60_000,
    about:
      'Upload files of the registry and unfinished multipart uploads are dropped so long after the last touch.',
  }),
  outage: choice(['reject', 'accept'], {
    default: 'reject',
    about:
      'While Gitee is down: reject answers 503 to a tag; accept acknowledges it, and a lost disk then loses it. See gateway_spool_bytes_at_risk.',
  }),
} as const;
