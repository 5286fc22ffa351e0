/**
 * The rows of the fault matrix, and what each operation is told under each: the expectation is a datum, so that a fault
 * or an operation that nobody thought about has no row and fails a test (test/unit/support/fault-matrix.test.ts).
 */
import { FAULT_NAMES, type FaultName } from '../../../src/local-gitee/faults.js';
import { OTHERWISE } from './operator.js';
import { hasBody, wellAnswer, type Group, type MatrixOperation } from './operations.js';

/** What a client is told, and what is there after the fault is over and all has landed. */
export interface Expected {
  /**
   * Statuses that are right; `cut`: the connection ends before the end of an answer; `well`: as the operation is told
   * where there is no fault.
   */
  readonly told: readonly (number | 'cut' | 'well')[];
  /**
   * Of an operation that changes something, after recovery. `told`: it is done exactly where it was acknowledged, and
   * either where nobody was told. Of reads it means that they change nothing.
   */
  readonly after: 'done' | 'not done' | 'told';
  /**
   * How long the client may wait: `soon` of what asks nobody but this machine, `hold` of what waits for Gitee,
   * `patience` of bytes that only Gitee has, `repeats` of a push whose registry repeats each refusal, as its client does.
   */
  readonly within: 'soon' | 'hold' | 'patience' | 'repeats';
  /** What it may be told as well once the hold is over, as on a machine that is busy: then it is done or not. */
  readonly orLate?: number;
}
export type Cell = Expected | { readonly never: string };

const done: Expected = { told: ['well'], after: 'done', within: 'soon' };
/** What waits for Gitee, and has it. */
const landed: Expected = { told: ['well'], after: 'done', within: 'hold' };
/** What asks Gitee first, and for no longer than the hold. */
const asked: Expected = { ...landed, orLate: 503 };
/** Stored here, not yet on Gitee; lands once it is well. */
const putOff: Expected = { told: [503], after: 'done', within: 'hold' };
/** It may land before the hold is over, or only after. */
const landsOrPutOff: Expected = { told: ['well', 503], after: 'done', within: 'hold' };
const read: Expected = { told: ['well'], after: 'told', within: 'soon' };
const fetched: Expected = { told: ['well'], after: 'told', within: 'patience' };
const notFetched: Expected = { told: [503], after: 'told', within: 'patience' };
/** Begun, and not ended: never whole and wrong. */
const brokenOff: Expected = { told: ['cut'], after: 'told', within: 'patience' };
/** What a command could do, or says that it could not. */
const tried: Expected = { told: ['well', 503], after: 'told', within: 'patience' };
/** It says that it could not. */
const failed: Expected = { told: [503], after: 'told', within: 'patience' };
/** Refused while the bucket may not be written to. */
const frozen: Expected = { told: ['well', 503], after: 'told', within: 'hold' };
const ACCEPTED: Cell = { never: 'it would take the deletion for the truth, which is what it is for' };
const GONE: Cell = { never: 'what an operator did is of the state that is gone' };
/** Not without having asked Gitee. */
const notDone: Expected = { told: [503], after: 'not done', within: 'hold' };

type Cells = Readonly<Record<Group, Cell>>;

const asksGitee = (cell: Cell) => ({
  ...{ 'asks for the branch': cell, 'asks for LFS objects': cell, 'asks for both': cell },
});

/** All well but for what is said. */
const cells = (but: Partial<Cells> = {}): Cells => ({
  looks: read,
  'reads here': read,
  'reads from Gitee': fetched,
  writes: done,
  'makes buckets': asked,
  'removes buckets': asked,
  waits: landed,
  operates: done,
  ...asksGitee(read),
  ...but,
});

interface GiteeFault {
  readonly kind: 'gitee';
  readonly name: FaultName;
  readonly options?: {
    readonly ms?: number;
    readonly status?: number;
    readonly afterBytes?: number;
    readonly every?: number;
  };
  readonly cells: Cells;
  /** Why no request meets it here; otherwise a row that nothing met fails. */
  readonly unmet?: string;
}

/** Where in the state directory something is written, and by which part of their paths these files are known. */
export const WRITTEN_PLACES = {
  'the chunks': '/chunks/',
  'the audit log': '/audit/',
  'the journal': '/overlay/',
  'the index': '/base-',
  'the ledger of LFS': '/lfs-ledger/',
  // What git itself writes there does not pass the library: its environment is its own.
  'the local repository': '/git/',
  'the small state files': '.json',
} as const;
type WrittenPlace = keyof typeof WRITTEN_PLACES;
type WriteFaultName = `disk: ${'full' | 'fails'} for ${WrittenPlace}`;
const WRITE_FAULTS = (Object.keys(WRITTEN_PLACES) as WrittenPlace[]).flatMap((place): WriteFaultName[] => [
  `disk: full for ${place}`,
  `disk: fails for ${place}`,
]);

/** Of this machine and of clients; fault-maker.ts does them. */
const OTHER_LOCAL_FAULTS = [
  'process: killed',
  'process: ended and started',
  'process: stands still',
  'disk: a sync of the journal fails',
  'clock: set back',
  'clock: set forward',
  'lease: a second gateway is started',
  'writer: another gateway on the branch',
  'branch: others delete most of it',
  'state: an older copy is put back',
  'client: cuts its body',
  'client: stops in its body',
  'client: leaves before the answer',
] as const;
export type LocalFaultName = WriteFaultName | (typeof OTHER_LOCAL_FAULTS)[number];
const LOCAL_FAULTS: readonly LocalFaultName[] = [...OTHER_LOCAL_FAULTS, ...WRITE_FAULTS];

/** What is full, or fails; undefined of any other fault. */
export function writeFaultOf(name: string): { place: WrittenPlace; isFull: boolean } | undefined {
  const [, how, place] = /^disk: (full|fails) for (.*)$/.exec(name) ?? [];
  return place === undefined ? undefined : { place: place as WrittenPlace, isFull: how === 'full' };
}

/** Those under which one process serves all requests: its memory is that of all that it was asked. */
export const endsProcess = ({ name }: Fault): boolean =>
  name === 'process: killed' ||
  name === 'process: ended and started' ||
  name === 'state: an older copy is put back' ||
  name.startsWith('disk: ');

export interface LocalFault {
  readonly kind: 'local';
  readonly name: LocalFaultName;
  readonly cells: Cells;
}
export type Fault = GiteeFault | LocalFault;

const NO_LFS = { waits: putOff };
const NO_DOWNLOAD = { 'reads from Gitee': notFetched };
/** A new bucket lies in a repository whose id is known since the start. */
const API_UNMET = 'no operation asks API v5';
/** A new bucket begins with what its branch's repository has, and what is pushed from here is there already. */
const FETCH_UNMET = 'no operation fetches what this gateway has pushed';
const NO_FETCH = {
  ...{ waits: putOff, 'makes buckets': notDone, 'removes buckets': notDone },
  ...{ 'asks for the branch': failed, 'asks for both': failed },
};
/** Nothing is told of any object. */
const NO_BATCH = { ...NO_LFS, ...NO_DOWNLOAD, 'asks for LFS objects': failed, 'asks for both': failed };

/** What commands ask of Gitee may take its time. */
const onGitee = (but: Partial<Cells> = {}): Cells => cells({ ...asksGitee(fetched), ...but });

const GITEE: Readonly<Record<FaultName, Omit<GiteeFault, 'kind' | 'name'>>> = {
  'git-refuse-push': { cells: onGitee({ waits: putOff }) },
  'git-stall': { cells: onGitee(NO_FETCH) },
  'git-stall-info-refs': { unmet: FETCH_UNMET, cells: onGitee({ waits: landed }) },
  'git-stall-receive-pack': { cells: onGitee({ waits: putOff }) },
  'git-cut-mid-body': { cells: onGitee(NO_FETCH) },
  'git-lose-after-accept': { cells: onGitee() },
  // Sent again, it lands at the first of its comings, and is then found.
  'git-late-push': { options: { ms: 1_000 }, cells: onGitee({ waits: { ...landed, orLate: 503 } }) },
  'git-slow-after-push': { options: { ms: 200 }, cells: onGitee() },
  'git-move-branch-before-push': {
    cells: onGitee({ waits: landsOrPutOff }),
  },
  // It shows what it had shown before, or lacks what was pushed just now: nobody is told of that, but who would take it
  // for the truth.
  'git-lagging-copy': { options: { ms: 3_000, every: 2 }, cells: onGitee({ 'asks for both': tried }) },
  'git-garbage': { cells: onGitee(NO_FETCH) },
  'git-hook-refuse': { cells: onGitee({ waits: putOff }) },
  'git-ge007': { cells: onGitee({ waits: putOff }) },
  'lfs-stall': { cells: onGitee(NO_BATCH) },
  'lfs-batch-status': { cells: onGitee(NO_BATCH) },
  'lfs-batch-garbage': { cells: onGitee(NO_BATCH) },
  'lfs-object-status': { cells: onGitee(NO_BATCH) },
  // It is there, as the next question shows.
  'lfs-verify-status': { cells: onGitee() },
  'lfs-upload-status': { cells: onGitee(NO_LFS) },
  'lfs-upload-cut': { cells: onGitee(NO_LFS) },
  'lfs-upload-slow': { options: { ms: 10 }, cells: onGitee() },
  'lfs-upload-lose-after-accept': { cells: onGitee() },
  'lfs-download-status': { cells: onGitee(NO_DOWNLOAD) },
  // It goes on from there, twice.
  'lfs-download-cut': { options: { afterBytes: 30_000 }, cells: onGitee() },
  'lfs-download-corrupt': { cells: onGitee({ 'reads from Gitee': brokenOff }) },
  'lfs-download-slow': { options: { ms: 10 }, cells: onGitee() },
  'lfs-no-range': { cells: onGitee(), unmet: 'a whole download asks for no range' },
  'lfs-link-expired': { cells: onGitee({ ...NO_LFS, ...NO_DOWNLOAD }) },
  'lfs-quota-full': { cells: onGitee(NO_LFS) },
  'lfs-no-verify': { cells: onGitee() },
  'lfs-present-with-download-action': { cells: onGitee() },
  'lfs-forget': { cells: onGitee(NO_LFS) },
  'lfs-chunked-header': { cells: onGitee() },
  'api-status': { cells: onGitee(), unmet: API_UNMET },
  'api-stall': { cells: onGitee(), unmet: API_UNMET },
  'rate-limit': { cells: onGitee(NO_BATCH) },
};

/** Any moment of it: answered, cut, or nobody there. */
const interrupted: Expected = { told: ['well', 503, 'cut'], after: 'told', within: 'hold' };
const all = (cell: Expected): Cells => ({
  // A start tries again what was set aside: there may be nothing to list, or to try again.
  operates: { ...cell, told: [...cell.told, OTHERWISE] },
  ...asksGitee(cell),
  ...{ looks: cell, 'reads here': cell, 'reads from Gitee': cell },
  ...{ writes: cell, 'makes buckets': cell, 'removes buckets': cell, waits: cell },
});

/** Refused, or the end of the process: what was acknowledged is there. */
const failing = all({ ...interrupted, told: ['well', 500, 503, 'cut'] });

const LOCAL: Readonly<Record<LocalFaultName, Cells>> = {
  ...(Object.fromEntries(WRITE_FAULTS.map((name) => [name, failing])) as Record<WriteFaultName, Cells>),
  'process: killed': all(interrupted),
  'process: ended and started': all(interrupted),
  // Its clients wait with it.
  'process: stands still': cells({ waits: landsOrPutOff }),
  'disk: a sync of the journal fails': failing,
  'clock: set back': cells(),
  'clock: set forward': cells(),
  // It ends at once, and the first one goes on.
  'lease: a second gateway is started': cells(),
  'writer: another gateway on the branch': cells({ waits: landsOrPutOff, ...asksGitee(tried) }),
  // The bucket is frozen, and nothing is taken for done; those of the registry's bucket go on.
  'branch: others delete most of it': cells({
    ...{ writes: frozen, waits: frozen, operates: tried, ...asksGitee(ACCEPTED) },
  }),
  // All had landed. What operators did before is of the state that is gone.
  'state: an older copy is put back': cells({ operates: GONE }),
  'client: cuts its body': all({ told: ['cut'], after: 'not done', within: 'soon' }),
  'client: stops in its body': all({ told: [400], after: 'not done', within: 'hold' }),
  'client: leaves before the answer': all({ told: ['cut'], after: 'told', within: 'hold' }),
};

export const FAULTS: readonly Fault[] = [
  ...FAULT_NAMES.map((name): GiteeFault => ({ kind: 'gitee', name, ...GITEE[name] })),
  ...LOCAL_FAULTS.map((name): LocalFault => ({ kind: 'local', name, cells: LOCAL[name] })),
];

/** What is expected of an operation under a fault; or why there is no such thing. */
export function cellOf(fault: Fault, operation: MatrixOperation): Cell {
  if (fault.name.startsWith('client: ')) {
    if (operation.s3 === undefined)
      return { never: 'the client of the gateway is the registry or the command here, and stays' };
    if (fault.name.endsWith('its body') && !hasBody(operation)) return { never: 'its request has no body' };
  }
  const cell = fault.cells[operation.group];
  if ('never' in cell) return cell;
  const isRepeated = operation.name === 'docker push' && writeFaultOf(fault.name) !== undefined;
  const { within } = isRepeated ? ({ within: 'repeats' } as const) : cell;
  return { ...cell, within, told: cell.told.map((one) => (one === 'well' ? wellAnswer(operation) : one)) };
}
