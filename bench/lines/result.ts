/** What one cell showed; a row of the table. What does not concern a kind of cell is left out. */
export interface CellResult {
  readonly name: string;
  /** Why the cell failed; it passed where there is nothing. */
  readonly problems: readonly string[];
  /** What the bytes take if the line carries nothing else, not even headers. */
  readonly lineSeconds: number;
  readonly outageSeconds: number;
  readonly tookSeconds: number;
  /** Bytes that crossed the wire to those of the images: above 1.05 something was sent twice. */
  readonly wireFactor: number;
  readonly peakUnsentMiB: number;
  readonly quietClientSeconds: number;
  readonly quietInsideSeconds: number;
  /** Answers 503 of the S3 listener, and answers of 500 and above that clients saw. */
  readonly s3Refusals: number;
  readonly clientErrors: number;
  /** What docker tried again by itself. */
  readonly retries: number;
  /** How late timers were: above a second the machine was too busy to say much of seconds. */
  readonly machineLateSeconds: number;
  /** Pushes of 0.7 MB beside the rest. */
  readonly smallPushes?: number;
  readonly slowestSmallSeconds?: number;
  /** The longest wait of a request for its first byte. */
  readonly firstByteSeconds?: number;
  /** The slowest answer to a new request while the line was known to be gone. */
  readonly slowestProbeSeconds?: number;
  readonly probes?: number;
}

const optional = (value: number | undefined) => (value === undefined ? '' : value.toFixed(1));

const COLUMNS: readonly (readonly [string, (row: CellResult) => string])[] = [
  ['cell', (r) => r.name],
  ['', (r) => (r.problems.length === 0 ? 'ok' : 'FAILED')],
  ['line s', (r) => r.lineSeconds.toFixed(0)],
  ['outage s', (r) => r.outageSeconds.toFixed(0)],
  ['took s', (r) => r.tookSeconds.toFixed(0)],
  ['ratio', (r) => ((r.tookSeconds - r.outageSeconds) / r.lineSeconds).toFixed(2)],
  ['wire', (r) => r.wireFactor.toFixed(2)],
  ['unsent MiB', (r) => r.peakUnsentMiB.toFixed(0)],
  ['quiet s', (r) => r.quietClientSeconds.toFixed(1)],
  ['quiet inside s', (r) => r.quietInsideSeconds.toFixed(1)],
  ['s3 503', (r) => String(r.s3Refusals)],
  ['5xx', (r) => String(r.clientErrors)],
  ['retries', (r) => String(r.retries)],
  ['small s', (r) => (r.smallPushes ? `${optional(r.slowestSmallSeconds)} of ${r.smallPushes}` : '')],
  ['first byte s', (r) => optional(r.firstByteSeconds)],
  ['late s', (r) => optional(r.machineLateSeconds)],
  ['probe s', (r) => (r.probes ? `${optional(r.slowestProbeSeconds)} of ${r.probes}` : '')],
];

export const tableHead = () =>
  `| ${COLUMNS.map(([title]) => title).join(' | ')} |\n|${COLUMNS.map(() => ' --- |').join('')}`;
export const tableRow = (row: CellResult) => `| ${COLUMNS.map(([, show]) => show(row)).join(' | ')} |`;
