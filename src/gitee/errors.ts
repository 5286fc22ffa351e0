/**
 * Errors of the remote layer. Callers ask questions (`isTransient`, `pauses`) and never read texts.
 * docs/errors.md explains each cause to an operator; a test checks both ways.
 */
export type RemoteCause =
  /** Network, DNS, reset, cut body, deadline: try again. */
  | 'unreachable'
  | 'timeout'
  /** 5xx, garbage, an HTML page where JSON belongs: try again. */
  | 'server-fault'
  /** 429, or 403 with a rate text; `retryAfterMs` where the server said. */
  | 'rate-limited'
  /** 401, wrong or expired token: pause until the secret changes. */
  | 'unauthorized'
  /** 403, no right to push. */
  | 'forbidden'
  /** 404: repository missing, or hidden from this token. */
  | 'repository-missing'
  /** The text "LFS only supported repository in paid or trial enterprise". */
  | 'lfs-not-enabled'
  /** Repository or LFS space is full (507, "exceeds quota", 406 and 422 with a quota text). */
  | 'quota-full'
  /** LFS bandwidth is used up (509). */
  | 'bandwidth-exceeded'
  /** A protected branch refused the push. */
  | 'branch-protected'
  /** The push was accepted, the branch did not move (review mode made a pull request). */
  | 'review-mode'
  /** Repository paused, closed or blocked. */
  | 'repository-closed'
  /** E-mail privacy (GE007) or push rules refuse the commit's identity or message. */
  | 'identity-refused'
  /** One file is over the plan's limit: this change will never land. */
  | 'file-too-large'
  /** fsckObjects or a hook refuses a path or a file: this change will never land. */
  | 'content-refused'
  /** The whole push is too large (413, receive.maxInputSize): try with less. */
  | 'push-too-large'
  /** The head moved: fetch, re-apply, push again. */
  | 'head-moved'
  /** The push was accepted, and the branch does not show it yet: a copy may lag, or it is in review mode. Look again. */
  | 'push-not-seen'
  /** No way to tell whether it landed, even after reading the branch: try again later. */
  | 'outcome-unknown'
  /** A chunk that must be on Gitee is not there, or its bytes do not hash to the oid. */
  | 'chunk-missing'
  | 'chunk-corrupt'
  /** Gitee confirmed a chunk and does not have it. Its bytes are here, and are sent again. */
  | 'chunk-unkept'
  /** LFS refuses one object for good (per-object 409, 410, 422). */
  | 'chunk-refused'
  /** Rejected for a reason this version does not know; `detail` has the server's text. It may pass: unknown-refusals.ts. */
  | 'refused';

/**
 * What a cause asks of its caller: try again; pause until an operator acts and keep everything; bisect and
 * quarantine, since this content will never be accepted; or something of its own.
 */
const DEMANDS = {
  unreachable: 'retry',
  timeout: 'retry',
  'server-fault': 'retry',
  'rate-limited': 'retry',
  'push-not-seen': 'retry',
  'outcome-unknown': 'retry',
  'head-moved': 'retry',
  'chunk-unkept': 'retry',
  unauthorized: 'pause',
  forbidden: 'pause',
  'repository-missing': 'pause',
  'lfs-not-enabled': 'pause',
  'quota-full': 'pause',
  'bandwidth-exceeded': 'pause',
  'branch-protected': 'pause',
  'review-mode': 'pause',
  'repository-closed': 'pause',
  'identity-refused': 'pause',
  refused: 'pause',
  'file-too-large': 'quarantine',
  'content-refused': 'quarantine',
  'chunk-refused': 'quarantine',
  'push-too-large': 'own',
  'chunk-missing': 'own',
  'chunk-corrupt': 'own',
} as const satisfies Record<RemoteCause, 'retry' | 'pause' | 'quarantine' | 'own'>;

/** Never about one object, whatever was asked for. */
const OF_ALL: ReadonlySet<RemoteCause> = new Set([
  'unauthorized',
  'rate-limited',
  'lfs-not-enabled',
  'bandwidth-exceeded',
  'repository-closed',
]);

/** Every cause. @internal docs/errors.md is compared with it */
export const REMOTE_CAUSES = Object.keys(DEMANDS) as RemoteCause[];

/**
 * A commit could not be made here, so that nothing of it was sent: neither Gitee nor the line has anything to do with
 * it. `message` is the cause's.
 */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/**
 * Invariant 2 is broken: the commit that was made here would change other paths than it was meant to. It was not sent,
 * and made once more of a repository fetched anew. This stops the process.
 */
export class UnintendedChangeError extends Error {
  override readonly name = 'UnintendedChangeError';
}

interface RemoteErrorFields {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly detail?: string | undefined;
  readonly status?: number | undefined;
  readonly oids?: readonly string[];
  readonly isUndecided?: boolean;
  readonly mayPass?: boolean;
}

/** A failed call to Gitee. `message` names the thing, the limit and the next step; it holds no secret. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  /** Milliseconds the server asked to wait, if it did. */
  readonly retryAfterMs: number | undefined;
  /** The server's own words, masked and shortened to 500 characters. */
  readonly detail: string | undefined;
  /** HTTP status, if there was one. */
  readonly status: number | undefined;
  /**
   * Oids that the error is about; none: it is about the call, or about everything. Most of the causes can be about
   * one object only: its upload is answered 500 or 403 where others are taken.
   */
  readonly oids: readonly string[];
  /** Of a push: whatever this says, what was sent before may land yet. */
  readonly isUndecided: boolean;
  /** It is not believed yet, and tried again: unknown-refusals.ts. */
  readonly mayPass: boolean;

  constructor(
    readonly code: RemoteCause,
    message: string,
    fields: RemoteErrorFields = {},
  ) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.retryAfterMs = fields.retryAfterMs;
    this.detail = fields.detail?.slice(0, 500);
    this.status = fields.status;
    this.oids = OF_ALL.has(code) ? [] : (fields.oids ?? []);
    this.isUndecided = fields.isUndecided ?? false;
    this.mayPass = fields.mayPass ?? false;
  }

  /** The same, but for what is said otherwise. */
  with(fields: RemoteErrorFields): RemoteError {
    const { cause = this, code, detail, isUndecided, mayPass, message, oids, retryAfterMs, status } = this;
    const own = { cause, detail, isUndecided, mayPass, oids, retryAfterMs, status };
    return new RemoteError(code, message, { ...own, ...fields });
  }

  /** The same call may succeed later without anybody's help. */
  get isTransient(): boolean {
    return this.mayPass || DEMANDS[this.code] === 'retry';
  }

  /** Nothing of this bucket will land until an operator acts: pause, keep everything. */
  get pauses(): boolean {
    return !this.mayPass && DEMANDS[this.code] === 'pause';
  }

  /** This content will never be accepted, the rest may: bisect and quarantine. */
  get isPoison(): boolean {
    return DEMANDS[this.code] === 'quarantine';
  }
}

/** The same, of a push of which something may land yet. */
export function undecided(error: RemoteError): RemoteError {
  return error.isUndecided ? error : error.with({ isUndecided: true });
}

/** The same refusal, of which nobody knows yet whether it goes away by itself. */
export function passing(error: RemoteError): RemoteError {
  return error.with({ mayPass: true });
}

/** Those that have the code of the first one: the others are met again. */
export function ofFirstCode(errors: readonly RemoteError[]): RemoteError[] {
  return errors.filter(({ code }) => code === errors[0]?.code);
}

/** Errors of one code, each about objects of its own, as one that names them all. @param errors at least one */
export function joinedFailures(errors: readonly RemoteError[]): RemoteError {
  const [first] = errors as [RemoteError, ...RemoteError[]];
  if (errors.length === 1) return first;
  const waits = errors.flatMap(({ retryAfterMs }) => retryAfterMs ?? []);
  return first.with({
    cause: first,
    oids: errors.flatMap(({ oids }) => oids),
    retryAfterMs: waits.length > 0 ? Math.min(...waits) : undefined,
  });
}
