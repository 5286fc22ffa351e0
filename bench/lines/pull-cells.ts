import type { LineShape } from './network.js';

export type PullEvent =
  /** Batches and downloads are answered with this status for so long. */
  | { readonly share: number; readonly what: 'status'; readonly status: 502 | 503; readonly seconds: number }
  /** Packets vanish for so long; at a share below 0 already before the pulls begin. */
  | { readonly share: number; readonly what: 'gone'; readonly seconds: number };

/** Images that are only on Gitee are pulled at once, docker's way. */
export interface PullCell {
  readonly name: string;
  readonly line: LineShape;
  readonly images: number;
  readonly layers: number;
  readonly layerBytes: number;
  readonly event?: PullEvent;
  /** Every third second one batch is answered 429. */
  readonly hasRefusals?: boolean;
  /** A push of so many bytes and a copy of as many into another bucket at the same time. */
  readonly besideBytes?: number;
}

const MB = 1_000_000;
/** Bytes that take the line a minute and more. */
const BYTES: Readonly<Record<number, number>> = { 5: 45 * MB, 20: 180 * MB };

/** Of many layers: one after the other is asked for while the fault lasts. */
const MANY = 15;

function cell(
  mbit: number,
  roundTripMs: number,
  images: number,
  note = '',
  more: Partial<PullCell> = {},
): PullCell {
  const layers = more.layers ?? (images === 1 ? 5 : 3);
  return {
    name: ['pull', `${mbit}mbit`, `${roundTripMs}ms`, `${images}x${layers}`, ...(note ? [note] : [])].join(
      '-',
    ),
    ...{ line: { mbit, roundTripMs }, images, layers },
    layerBytes: Math.round(BYTES[mbit]! / images / layers),
    ...more,
  };
}

const gone = (share: number, seconds: number): PullEvent => ({ share, what: 'gone', seconds });

export const PULL_CELLS: readonly PullCell[] = [
  ...[5, 20].flatMap((mbit) => [0, 100].flatMap((ms) => [1, 10].map((images) => cell(mbit, ms, images)))),
  ...([502, 503] as const).flatMap((status) =>
    [2, 8, 20].map((seconds) =>
      cell(20, 100, 1, `${status}-for-${seconds}s`, {
        layers: MANY,
        event: { share: 0.4, what: 'status', status, seconds },
      }),
    ),
  ),
  cell(20, 100, 10, '503-for-20s', { event: { share: 0.4, what: 'status', status: 503, seconds: 20 } }),
  ...[20, 60].flatMap((seconds) => [
    cell(20, 100, 1, `gone-${seconds}s`, { event: gone(0.4, seconds) }),
    cell(20, 100, 10, `gone-${seconds}s`, { event: gone(0.4, seconds) }),
    cell(20, 100, 1, `gone-${seconds}s-before`, { event: gone(-1, seconds) }),
  ]),
  cell(5, 0, 1, 'gone-20s', { event: gone(0.4, 20) }),
  cell(20, 100, 10, '429-now-and-then', { hasRefusals: true }),
  cell(20, 100, 10, 'beside-a-push-and-a-copy', { besideBytes: 60 * MB }),
];
