/**
 * What an operator may ask of a gateway, one row per call: where it is reached, what is sent and what becomes of it. The
 * control socket, its client and the commands on a stopped gateway derive from this table; docs/hacking.md lists it, and
 * a test compares them.
 */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { requireAccounts } from '../auth/accounts/account-admin.js';
import { newRobotSchema } from '../auth/accounts/robots.js';
import type { LfsSpaceStatus } from '../space/lfs-space.js';
import type { BucketStatus } from '../journal/bucket-state.js';
import type { UploadLineStatus } from '../line/upload-line.js';
import { isReady, type Gateway, type LocalSpace, type Problem } from './gateway.js';

/** What a call runs on: a gateway that listens, or one that was opened for the time of a command. */
export interface CallTarget {
  readonly gateway: Gateway;
  readonly version: string;
  /** undefined: opened for one command; nobody listens. */
  readonly pid: number | undefined;
}

export interface GatewayStatus {
  readonly version: string;
  /** undefined: no gateway runs, this is read from the directory. */
  readonly pid: number | undefined;
  readonly ready: boolean;
  readonly problems: readonly Problem[];
  readonly buckets: readonly BucketStatus[];
  /** undefined: no gateway runs, or one of an earlier version. */
  readonly uploads?: UploadLineStatus;
  /** undefined: a gateway of an earlier version. */
  readonly lfs?: LfsSpaceStatus;
  /** undefined: a gateway of an earlier version. */
  readonly local?: LocalSpace;
}

/**
 * How a call is answered: `document` with one JSON value, `lines` with a JSON value a line for as long as it works,
 * `bytes` as they are.
 */
type AnswerKind = 'document' | 'lines' | 'bytes';

interface CallRow<S extends z.ZodType, Answer, K extends AnswerKind> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly request: S;
  readonly kind: K;
  readonly run: (on: CallTarget, request: z.output<S>) => Answer;
}

const asks = <A>(path: string, run: (on: CallTarget) => A): CallRow<typeof nothing, A, 'document'> => ({
  ...{ method: 'GET', path, request: nothing, kind: 'document', run },
});
const does = <S extends z.ZodType, A>(
  path: string,
  request: S,
  run: (on: CallTarget, request: z.output<S>) => A,
): CallRow<S, A, 'document'> => ({ method: 'POST', path, request, kind: 'document', run });
const lists = <S extends z.ZodType, A>(
  path: string,
  request: S,
  run: (on: CallTarget, request: z.output<S>) => AsyncIterable<A>,
): CallRow<S, AsyncIterable<A>, 'lines'> => ({ method: 'POST', path, request, kind: 'lines', run });
const reads = <S extends z.ZodType>(
  path: string,
  request: S,
  run: (on: CallTarget, request: z.output<S>) => Promise<Readable>,
): CallRow<S, Promise<Readable>, 'bytes'> => ({ method: 'POST', path, request, kind: 'bytes', run });

const nothing = z.object({});
const bucket = z.string();
const key = z.string();
const name = z.string();
const ofBucket = z.object({ bucket });
const ofChange = z.object({ bucket, key });
const ofDeadLetters = z.object({
  target: z.string().exactOptional(),
  event: z.string().exactOptional(),
});
const accounts = ({ gateway }: CallTarget) => requireAccounts(gateway.accounts());

export const CALLS = {
  status: asks('/v1/status', statusOf),
  doctor: does('/v1/doctor', nothing, ({ gateway }) => gateway.doctor()),
  fsck: lists(
    '/v1/fsck',
    z.object({
      deep: z.boolean().default(false),
      repair: z.boolean().exactOptional(),
      bucket: bucket.exactOptional(),
    }),
    ({ gateway }, options) => gateway.fsck(options),
  ),
  rebuild: does('/v1/rebuild', ofBucket, ({ gateway }, request) => gateway.rebuild(request.bucket)),
  acceptRemote: does('/v1/accept-remote', ofBucket, ({ gateway }, request) =>
    gateway.acceptRemote(request.bucket),
  ),
  previewAccept: does('/v1/accept-remote/preview', ofBucket, ({ gateway }, request) =>
    gateway.previewAccept(request.bucket),
  ),

  robots: asks('/v1/robots', (on) => accounts(on).robots()),
  addRobot: does('/v1/robots/add', newRobotSchema, (on, robot) => accounts(on).addRobot(robot)),
  removeRobot: does('/v1/robots/remove', z.object({ name }), (on, robot) =>
    accounts(on).removeRobot(robot.name),
  ),
  disableRobot: does('/v1/robots/disable', z.object({ name }), (on, robot) =>
    accounts(on).disableRobot(robot.name),
  ),
  sessions: asks('/v1/sessions', (on) => accounts(on).sessions()),
  revokeSessions: does('/v1/sessions/revoke', z.object({ which: z.string().min(1) }), (on, { which }) =>
    accounts(on).revokeSessions(which),
  ),

  quarantined: lists('/v1/quarantine/list', z.object({ bucket: bucket.exactOptional() }), (on, request) =>
    on.gateway.quarantine().list(request.bucket),
  ),
  retryQuarantined: does(
    '/v1/quarantine/retry',
    z.object({ bucket, key: key.exactOptional() }),
    ({ gateway }, request) => gateway.quarantine().retry(request.bucket, request.key),
  ),
  readQuarantined: reads('/v1/quarantine/read', ofChange, ({ gateway }, request) =>
    gateway.quarantine().read(request.bucket, request.key),
  ),
  dropQuarantined: does('/v1/quarantine/drop', ofChange, async ({ gateway }, request) => ({
    dropped: await gateway.quarantine().drop(request.bucket, request.key),
  })),

  notifications: asks('/v1/notifications', ({ gateway }) => gateway.notifications().overview()),
  retryNotifications: does('/v1/notifications/retry', ofDeadLetters, ({ gateway }, choice) =>
    gateway.notifications().retry(choice),
  ),
  dropNotifications: does('/v1/notifications/drop', ofDeadLetters, ({ gateway }, choice) =>
    gateway.notifications().drop(choice),
  ),
};

type Calls = typeof CALLS;
type CallName = keyof Calls;

/** Of documents always a promise: it may come over a socket. */
type AnswerOf<C> = C extends { kind: 'document'; run: (...args: never[]) => infer A }
  ? Promise<Awaited<A>>
  : C extends { run: (...args: never[]) => infer A }
    ? A
    : never;

type RequestOf<C extends { request: z.ZodType }> = z.input<C['request']>;

/** Every call as a function. Those that ask for nothing more take no argument. */
export type Operations = {
  readonly [N in CallName]: (
    ...request: string extends keyof RequestOf<Calls[N]> ? [] : [RequestOf<Calls[N]>]
  ) => AnswerOf<Calls[N]>;
};

/** A row, of whichever call. */
export type Call = CallRow<z.ZodType, unknown, AnswerKind>;

/** Operations that `run` carries out. */
export function operationsBy(run: (call: Call, request: unknown) => unknown): Operations {
  const entries = Object.entries(CALLS).map(([callName, call]) => [
    callName,
    (request: unknown = {}) => run(call as Call, request),
  ]);
  return Object.fromEntries(entries) as Operations;
}

function statusOf({ gateway, pid, version }: CallTarget): GatewayStatus {
  const problems =
    pid === undefined
      ? [{ name: 'not-running', detail: 'no gateway runs on this state directory' }]
      : gateway.problems();
  return {
    version,
    pid,
    ready: pid !== undefined && isReady(problems),
    problems,
    buckets: gateway.statuses(),
    ...(pid === undefined ? {} : { uploads: gateway.uploadLine() }),
    lfs: gateway.lfsSpace(),
    local: gateway.localSpace(),
  };
}
