import type { LineShape } from './network.js';

/** What happens to the line, once a share of the cell's bytes has crossed it. */
export type LineEvent =
  | { readonly share: number; readonly what: 'rate'; readonly mbit: number }
  /** Packets vanish for so long. */
  | { readonly share: number; readonly what: 'gone'; readonly seconds: number }
  /** Gitee's process stops for so long: connections are there and nothing answers. */
  | { readonly share: number; readonly what: 'still'; readonly seconds: number };

export interface PushCell {
  readonly name: string;
  readonly line: LineShape;
  /**
   * dockerd: its way, all layers at once, a chunked PATCH each. skopeo: the real one, from an OCI layout. docker: the
   * real dockerd, of which nobody knows how often it tried again.
   */
  readonly way: 'dockerd' | 'skopeo' | 'docker';
  /** Pushed at once, by a client each. */
  readonly images: number;
  readonly layers: number;
  readonly layerBytes: number;
  /** Images of 0.7 MB one after the other while the rest runs. */
  readonly hasSmallBeside?: boolean;
  /** `aws s3 cp` of so many bytes into a bucket of concern local, and images of 11 MB while it drains. */
  readonly copyBytes?: number;
  readonly events?: readonly LineEvent[];
}

const MB = 1_000_000;
export const SMALL_LAYERS = [65_536, 131_072, 503_000];
export const ELEVEN_MB_LAYERS = [8_000_000, 2_900_000, 100_000];

/** Bytes that take a line one to two minutes; on fast ones the machine is slower than the line. */
const BYTES: Readonly<Record<number, number>> = {
  2: 25 * MB,
  5: 70 * MB,
  10: 150 * MB,
  20: 240 * MB,
  100: 400 * MB,
  1000: 200 * MB,
};
const RATES = [2, 5, 10, 20, 100, 1000];
const ROUND_TRIPS_MS = [0, 30, 200];

function cell(
  mbit: number,
  roundTripMs: number,
  load: '1x1' | '1x5' | '4x5' | '4x40',
  more: Partial<PushCell> & { readonly note?: string } = {},
): PushCell {
  const [images, layers] = load.split('x').map(Number) as [number, number];
  const { note, ...rest } = more;
  const way = more.way ?? 'dockerd';
  const layerBytes = load === '4x40' ? 150_000 : Math.round(BYTES[mbit]! / images / layers);
  return {
    name: ['push', `${mbit}mbit`, `${roundTripMs}ms`, load, way, ...(note ? [note] : [])].join('-'),
    ...{ line: { mbit, roundTripMs }, way, images, layers, layerBytes },
    ...rest,
  };
}

const LOADS = ['1x1', '1x5', '4x5', '4x40'] as const;

/** Every rate at every distance with every load, dockerd's way; then what is special. */
export const PUSH_CELLS: readonly PushCell[] = [
  ...RATES.flatMap((mbit) =>
    ROUND_TRIPS_MS.flatMap((roundTripMs) => LOADS.map((load) => cell(mbit, roundTripMs, load))),
  ),
  ...RATES.map((mbit) => cell(mbit, 30, '1x5', { way: 'skopeo' })),
  ...[0, 200].map((roundTripMs) => cell(10, roundTripMs, '1x5', { way: 'skopeo' })),
  ...[0, 200].map((roundTripMs) => cell(10, roundTripMs, '1x5', { way: 'docker' })),
  ...[2, 5, 10, 20].flatMap((mbit) =>
    [0, 200].map((roundTripMs) =>
      cell(mbit, roundTripMs, '1x5', { hasSmallBeside: true, note: 'small-beside' }),
    ),
  ),
  // Falls from 100 to 5 Mbit/s in the middle, and comes back from 5 to 100.
  ...[0, 30, 200].map((roundTripMs) =>
    cell(100, roundTripMs, '1x5', {
      ...{ layerBytes: 20 * MB, note: 'falls-to-5' },
      events: [{ share: 0.6, what: 'rate', mbit: 5 }],
    }),
  ),
  cell(5, 30, '1x5', { events: [{ share: 0.5, what: 'rate', mbit: 100 }], note: 'rises-to-100' }),
  ...[20, 60, 300].flatMap((seconds) => [
    cell(20, 30, '1x5', { events: [{ share: 0.5, what: 'gone', seconds }], note: `gone-${seconds}s` }),
  ]),
  ...[20, 60].map((seconds) =>
    cell(20, 30, '1x5', {
      ...{ way: 'skopeo', note: `gone-${seconds}s` },
      events: [{ share: 0.5, what: 'gone', seconds }],
    }),
  ),
  cell(10, 30, '4x5', { events: [{ share: 0.5, what: 'gone', seconds: 60 }], note: 'gone-60s' }),
  ...(['dockerd', 'skopeo'] as const).map((way) =>
    cell(20, 30, '1x5', {
      way,
      events: [{ share: 0.5, what: 'still', seconds: 40 }],
      note: 'gitee-still-40s',
    }),
  ),
  // A push of 11 MB that begins with the line gone, or with Gitee standing still.
  ...(
    [
      { share: 0, what: 'gone', seconds: 20 },
      { share: 0, what: 'still', seconds: 40 },
    ] as const
  ).map((event) =>
    cell(20, 30, '1x1', { layerBytes: 11 * MB, events: [event], note: `${event.what}-from-the-start` }),
  ),
  ...[10, 20].map((mbit) => ({
    ...cell(mbit, 30, '1x1', { note: 'beside-a-copy', copyBytes: mbit * 8 * MB }),
    images: 0,
  })),
];

/** What shows the known faults of a slow or distant line in a quarter of an hour. */
export const CORE_CELLS = [
  'push-10mbit-0ms-1x5-dockerd',
  'push-5mbit-30ms-4x5-dockerd',
  'push-20mbit-200ms-4x40-dockerd',
  'push-10mbit-30ms-1x5-skopeo',
  'push-10mbit-0ms-1x5-dockerd-small-beside',
  'push-100mbit-30ms-1x5-dockerd-falls-to-5',
  'push-20mbit-30ms-1x5-dockerd-gone-60s',
  'push-20mbit-30ms-1x5-dockerd-gitee-still-40s',
  'push-20mbit-30ms-1x1-dockerd-beside-a-copy',
];
