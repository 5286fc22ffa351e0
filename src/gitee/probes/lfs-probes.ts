/** Questions to the LFS batch API (docs/facts/gitee.md §7): nothing is uploaded. */
import { RemoteError } from '../errors.js';
import { statusFailure } from '../http/status-failure.js';
import { requestBatch, type RawBatchAnswer } from '../lfs/batch-request.js';
import { parseBatch, type BatchObject } from '../lfs/batch-schema.js';
import { lfsEndpointUrl } from '../lfs/lfs-chunk-remote.js';
import { basicHeader } from '../token.js';
import { failedProbe, probe, randomOid, userNames, type ProbeDeps, type ProbeResult } from './probe.js';

const BATCH_SIZES = [100, 500, 1000];
const PROBE_OBJECT_BYTES = 1024;

/** All LFS probes; where LFS is not to be had the first one says why, and the others are not asked. */
export async function probeLfs(deps: ProbeDeps, login: string | undefined): Promise<ProbeResult[]> {
  const full = `${deps.owner}/${deps.name}`;
  const plan = await probePlan(deps, `lfs ${full}`);
  if (plan.status === 'failed') return [plan];
  const { result, user } = await probeUser(deps, `lfs login ${full}`, login);
  if (user === undefined) return [plan, result];
  return [
    plan,
    result,
    await probeUploadLink(deps, `lfs upload link ${full}`, user),
    await probeBatchSize(deps, `lfs batch size ${full}`, user),
  ];
}

/** An empty list, without a login: Gitee looks at the plan first, and may answer 401, 404 or 422 after that. */
function probePlan(deps: ProbeDeps, name: string): Promise<ProbeResult> {
  return probe(name, async () => {
    const raw = await ask(deps, 'download', 0, undefined);
    if (raw.status >= 200 && raw.status < 300) return { status: 'ok', answer: 'LFS answers.' };
    const failure = failureOf(deps, raw, '');
    if (failure.code === 'lfs-not-enabled') throw failure;
    return { status: 'ok', answer: 'LFS answers, and wants a login.' };
  });
}

/** Which user name goes with the token. */
async function probeUser(
  deps: ProbeDeps,
  name: string,
  login: string | undefined,
): Promise<{ result: ProbeResult; user: string | undefined }> {
  const configured = deps.lfsUser ?? deps.user;
  let failure: RemoteError | undefined;
  try {
    for (const user of userNames(deps, configured, login)) {
      const raw = await ask(deps, 'download', 1, user);
      if (raw.status >= 200 && raw.status < 300)
        return { result: { name, ...judgeUser(user, configured) }, user };
      failure ??= failureOf(deps, raw, user);
      // Another name helps only where this one was refused.
      if (raw.status !== 401 && raw.status !== 403) break;
    }
    return { result: failedProbe(name, failure), user: undefined };
  } catch (error) {
    return { result: failedProbe(name, error), user: undefined };
  }
}

function judgeUser(user: string, configured: string): Omit<ProbeResult, 'name'> {
  if (user === configured) return { status: 'ok', answer: `The token is taken with the user name ${user}.` };
  return {
    status: 'failed',
    answer: `The token is refused with the user name ${configured} and taken with ${user}.`,
    setting: 'gitee.lfs_user',
    help: `Set gitee.lfs_user to ${user}.`,
  };
}

/** What an upload link is like; it is not used. */
function probeUploadLink(deps: ProbeDeps, name: string, user: string): Promise<ProbeResult> {
  return probe(name, async () => {
    const raw = await ask(deps, 'upload', 1, user);
    const object = objectsOf(deps, raw, user)[0];
    if (object?.error)
      return {
        status: 'failed',
        answer: `An upload of 1 KiB is refused with ${object.error.code}.`,
        setting: 'gitee.token',
      };
    return describeUploadLink(object, deps.giteeUrl);
  });
}

/** Host, header names, expiry and verify of an upload link; no value of a header, no query. */
export function describeUploadLink(
  object: BatchObject | undefined,
  giteeUrl: string,
): Omit<ProbeResult, 'name'> {
  const upload = object?.actions?.upload;
  if (!upload || !URL.canParse(upload.href, giteeUrl))
    return { status: 'warning', answer: 'Gitee gives no upload link for an object that it cannot have.' };
  const url = new URL(upload.href, giteeUrl);
  const names = Object.keys(upload.header ?? {}).sort();
  const expiry = upload.expires_in
    ? `in ${upload.expires_in} s`
    : upload.expires_at
      ? `at ${upload.expires_at}`
      : 'at no stated time';
  const answer =
    `Uploads go to ${url.protocol}//${url.host}, headers ${names.length === 0 ? 'none' : names.join(', ')}, ` +
    `expire ${expiry}, ${object.actions?.verify ? 'and are verified' : 'without verification'}.`;
  if (url.protocol === 'http:' && giteeUrl.startsWith('https:'))
    return { status: 'failed', answer: `${answer} Images would go out unencrypted: they are not sent.` };
  return { status: 'ok', answer };
}

/** The largest list that is answered. */
function probeBatchSize(deps: ProbeDeps, name: string, user: string): Promise<ProbeResult> {
  return probe(name, async () => {
    let largest = 0;
    for (const size of BATCH_SIZES) {
      const raw = await ask(deps, 'download', size, user);
      if (raw.status === 413 || raw.status === 422) break;
      if (objectsOf(deps, raw, user).length !== size) break;
      largest = size;
    }
    if (largest >= deps.lfsBatchMax || largest === BATCH_SIZES.at(-1))
      return { status: 'ok', answer: `${largest} objects in one call are answered.` };
    return {
      status: 'warning',
      answer: `At most ${largest} objects in one call were answered, ${deps.lfsBatchMax} are set; the gateway asks for fewer by itself.`,
      setting: 'gitee.lfs_batch_max',
    };
  });
}

function ask(
  deps: ProbeDeps,
  operation: 'upload' | 'download',
  count: number,
  user: string | undefined,
): Promise<RawBatchAnswer> {
  return requestBatch({
    http: deps.http,
    endpointUrl: lfsEndpointUrl(deps.giteeUrl, deps.owner, deps.name),
    operation,
    objects: Array.from({ length: count }, () => ({ oid: randomOid(), sizeBytes: PROBE_OBJECT_BYTES })),
    ...(user === undefined ? {} : { authorization: basicHeader(user, deps.token.current()) }),
    what: `LFS batch of ${deps.owner}/${deps.name}`,
    signal: deps.signal,
  });
}

function objectsOf(deps: ProbeDeps, raw: RawBatchAnswer, user: string): BatchObject[] {
  if (raw.status < 200 || raw.status > 299) throw failureOf(deps, raw, user);
  const objects = parseBatch(raw.text);
  if (!objects) throw new RemoteError('server-fault', 'LFS answered with something else than a batch');
  return objects;
}

function failureOf(deps: ProbeDeps, raw: RawBatchAnswer, user: string): RemoteError {
  return statusFailure(raw, {
    what: `LFS batch of ${deps.owner}/${deps.name}`,
    nowMs: deps.clock.nowMs(),
    token: deps.token.current(),
    user,
    meaning: { 501: 'lfs-not-enabled' },
  });
}
