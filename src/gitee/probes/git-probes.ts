/** What git's HTTP endpoints advertise (docs/facts/gitee.md §7): adverts are read, nothing is pushed. */
import type { RemoteError } from '../errors.js';
import { readBytes } from '../http/answer.js';
import { statusFailure } from '../http/status-failure.js';
import { basicHeader } from '../token.js';
import { firstLineCapabilities, pktLines } from './pkt-line.js';
import { failedProbe, probe, userNames, type ProbeDeps, type ProbeResult } from './probe.js';

/** The advert of a branchy repository is long; its capabilities stand in the first line. */
const ADVERT_MAX_BYTES = 256 * 1024;

interface Advert {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly lines: readonly string[];
}

export async function probeGit(deps: ProbeDeps, login: string | undefined): Promise<ProbeResult[]> {
  const full = `${deps.owner}/${deps.name}`;
  const { result, user, advert } = await probeUser(deps, `git login ${full}`, login);
  if (user === undefined || !advert) return [result];
  return [
    result,
    { name: `git push ${full}`, ...judgeReceivePack(advert.lines) },
    await probe(`git fetch ${full}`, async () => {
      const read = await fetchAdvert(deps, 'git-upload-pack', user);
      if (read.status !== 200) throw failureOf(deps, read, user);
      return judgeUploadPack(read.lines);
    }),
  ];
}

/** Which user name goes with the token, asked where a push would begin. */
async function probeUser(
  deps: ProbeDeps,
  name: string,
  login: string | undefined,
): Promise<{ result: ProbeResult; user?: string; advert?: Advert }> {
  let failure: RemoteError | undefined;
  try {
    for (const user of userNames(deps, deps.user, login)) {
      const advert = await fetchAdvert(deps, 'git-receive-pack', user);
      if (advert.status === 200) return { result: { name, ...judgeUser(user, deps.user) }, user, advert };
      failure ??= failureOf(deps, advert, user);
      if (advert.status !== 401 && advert.status !== 403) break;
    }
    return { result: failedProbe(name, failure) };
  } catch (error) {
    return { result: failedProbe(name, error) };
  }
}

function judgeUser(user: string, configured: string): Omit<ProbeResult, 'name'> {
  if (user === configured) return { status: 'ok', answer: `The token may push with the user name ${user}.` };
  return {
    status: 'failed',
    answer: `The token is refused with the user name ${configured} and taken with ${user}.`,
    setting: 'gitee.user',
    help: `Set gitee.user to ${user}.`,
  };
}

/** report-status is what tells a push that landed from one that did not. */
export function judgeReceivePack(lines: readonly string[]): Omit<ProbeResult, 'name'> {
  const capabilities = firstLineCapabilities(lines);
  if (capabilities.length === 0)
    return { status: 'unknown', answer: 'The answer of git-receive-pack has no capabilities.' };
  const has = (name: string) => capabilities.includes(name);
  const known = ['atomic', 'report-status', 'report-status-v2', 'ofs-delta', 'side-band-64k'].filter(has);
  const answer = `Pushes have: ${known.join(', ') || 'none of what is known here'}.`;
  if (has('report-status') || has('report-status-v2')) return { status: 'ok', answer };
  return { status: 'warning', answer: `${answer} Without a report the branch is read after each push.` };
}

/** Protocol version 2 with filters lets a fetch leave out blobs. */
export function judgeUploadPack(lines: readonly string[]): Omit<ProbeResult, 'name'> {
  if (lines.length === 0) return { status: 'unknown', answer: 'The answer of git-upload-pack is no advert.' };
  const isVersion2 = lines.includes('version 2');
  const fetch = lines.find((line) => line === 'fetch' || line.startsWith('fetch='));
  const hasFilter = isVersion2
    ? (fetch ?? '').slice('fetch='.length).split(' ').includes('filter')
    : firstLineCapabilities(lines).includes('filter');
  return {
    status: isVersion2 && hasFilter ? 'ok' : 'warning',
    answer: `Protocol version 2: ${isVersion2 ? 'yes' : 'no'}; partial clone: ${hasFilter ? 'yes' : 'no'}.`,
  };
}

async function fetchAdvert(
  deps: ProbeDeps,
  service: 'git-upload-pack' | 'git-receive-pack',
  user: string,
): Promise<Advert> {
  const base = deps.giteeUrl.replace(/\/+$/, '');
  const answer = await deps.http.send({
    what: `git advert of ${deps.owner}/${deps.name}`,
    method: 'GET',
    url: `${base}/${deps.owner}/${deps.name}.git/info/refs?service=${service}`,
    headers: {
      authorization: basicHeader(user, deps.token.current()),
      'git-protocol': 'version=2',
      accept: '*/*',
    },
    signal: deps.signal,
  });
  const { bytes } = await readBytes(answer, ADVERT_MAX_BYTES);
  return {
    status: answer.status,
    headers: answer.headers,
    text: bytes.toString('utf8'),
    lines: pktLines(bytes),
  };
}

function failureOf(deps: ProbeDeps, advert: Advert, user: string): RemoteError {
  return statusFailure(advert, {
    what: `git login to ${deps.owner}/${deps.name}`,
    nowMs: deps.clock.nowMs(),
    token: deps.token.current(),
    user,
  });
}
