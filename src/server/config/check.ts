/** What no single option can know: rules between options. All mistakes at once. */
import { CORS_METHODS, patternMistake } from '../../s3/cors.js';
import { checkAuth } from './check-auth.js';
import { isBucketName } from '../../objects/bucket-names.js';
import type { BucketConfig, Config, RawConfig } from './config.js';
import type { Mistake } from './mistakes.js';
import { nearestName } from './nearest-name.js';

/** Secrets shorter than this can be guessed, and masking them in logs would hit ordinary words. */
const SECRET_MIN_CHARACTERS = 8;

export function crossCheck(config: Config, table: RawConfig): { mistakes: Mistake[]; warnings: string[] } {
  const mistakes: Mistake[] = [];
  const warnings: string[] = [];
  const wrong = (name: string, message: string) => mistakes.push({ name, message });

  checkGitee(config, table, wrong, warnings);
  checkSizes(config, wrong);
  checkKeys(config, wrong);
  checkBuckets(config.buckets, wrong);
  checkAuth(config, wrong, warnings);
  checkCors(config, wrong);
  checkHooks(config, wrong, warnings);
  checkOAuth(config, wrong);
  checkCreateBuckets(config, wrong, warnings);
  if (config.barrier.holdMaxMs > 850_000)
    warnings.push('barrier.hold_max is over 850s: the shipped Nginx gives up after 900s');
  return { mistakes, warnings };
}

export type Wrong = (name: string, message: string) => void;

function checkCors(config: Config, wrong: Wrong): void {
  const names = config.buckets.map((b) => b.name);
  for (const [i, rule] of config.cors.entries()) {
    const here = `cors[${i}]`;
    for (const bucket of rule.buckets) {
      if (bucket !== '*' && !names.includes(bucket))
        wrong(`${here}.buckets`, `names ${bucket}, which is no bucket`);
    }
    if (rule.origins.length === 0) wrong(`${here}.origins`, 'must name one origin at least');
    if (rule.methods.length === 0) wrong(`${here}.methods`, 'must name one method at least');
    for (const method of rule.methods) {
      if (!(CORS_METHODS as readonly string[]).includes(method))
        wrong(`${here}.methods`, `has ${method}: only ${CORS_METHODS.join(', ')} may be allowed`);
    }
    for (const field of ['origins', 'headers', 'exposeHeaders'] as const) {
      for (const pattern of rule[field]) {
        const mistake = patternMistake(pattern);
        if (mistake !== undefined)
          wrong(
            `${here}.${field === 'exposeHeaders' ? 'expose_headers' : field}`,
            `${JSON.stringify(pattern)} ${mistake}`,
          );
      }
    }
  }
}

function checkGitee(config: Config, table: RawConfig, wrong: Wrong, warnings: string[]): void {
  const { gitee, localGitee } = config;
  if (localGitee.enabled && table.gitee.url !== undefined) {
    wrong('local_gitee.enabled', 'is true although gitee.url names another Gitee: set one of the two');
  }
  if (!localGitee.enabled && table.gitee.url === undefined) {
    wrong('gitee.url', 'must be set where local_gitee.enabled is false');
  }
  if (table.gitee.url !== undefined && !gitee.token) {
    wrong(
      'gitee.token',
      'must be set, itself or as gitee.token_file: a personal token with projects and user_info',
    );
  }
  if (gitee.token && gitee.token.reveal().length < SECRET_MIN_CHARACTERS) {
    wrong('gitee.token', `must have at least ${SECRET_MIN_CHARACTERS} characters`);
  }
  if (gitee.lfsQuotaAction === 'refuse' && gitee.lfsQuotaBytes === undefined) {
    wrong('gitee.lfs_quota_action', 'is refuse, so gitee.lfs_quota_bytes must say how much there is');
  }
  const { protocol, hostname } = new URL(gitee.url);
  if (protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(hostname)) {
    warnings.push(`gitee.url is http: the token crosses the network to ${hostname} in clear text; use https`);
  }
}

function checkOAuth({ auth }: Config, wrong: Wrong): void {
  const { clientId, clientSecret } = auth.oauth;
  if (clientId !== undefined && clientSecret === undefined)
    wrong('auth.oauth.client_secret', 'must be set where auth.oauth.client_id is');
  if (clientId !== undefined && auth.publicUrl === undefined)
    wrong('auth.public_url', 'must be set where auth.oauth.client_id is: Gitee calls back there');
  if (clientSecret !== undefined && clientSecret.reveal().length < SECRET_MIN_CHARACTERS)
    wrong('auth.oauth.client_secret', `must have at least ${SECRET_MIN_CHARACTERS} characters`);
}

function checkSizes(config: Config, wrong: Wrong): void {
  if (config.spoolSoftBytes > config.spoolHardBytes) wrong('spool_soft', 'must not be over spool_hard');
  if (config.spoolSoftBytes < 2 * config.chunkSizeBytes) wrong('spool_soft', 'must hold two chunks at least');
  if (config.eagerFromBytes > config.chunkSizeBytes) wrong('eager_from', 'must not be over chunk_size');
}

function checkKeys(config: Config, wrong: Wrong): void {
  const names = config.buckets.map((b) => b.name);
  const seen = new Set<string>();
  if (config.accessKeys.length === 0) wrong('access_keys', 'must have at least one entry');
  for (const [i, key] of config.accessKeys.entries()) {
    const here = `access_keys[${i}]`;
    if (seen.has(key.accessKeyId)) wrong(`${here}.access_key_id`, 'stands twice in the list');
    seen.add(key.accessKeyId);
    if (key.secretAccessKey.reveal().length < SECRET_MIN_CHARACTERS) {
      wrong(`${here}.secret_access_key`, `must have at least ${SECRET_MIN_CHARACTERS} characters`);
    }
    for (const bucket of Object.keys(key.buckets)) {
      if (bucket === '*' || names.includes(bucket)) continue;
      // It may be one that is made at run time.
      if (config.createBuckets.repository !== undefined && isBucketName(bucket)) continue;
      const near = nearestName(bucket, names);
      wrong(
        `${here}.buckets.${bucket}`,
        `is no bucket${near === undefined ? '' : `; did you mean ${near}?`}`,
      );
    }
  }
}

function checkBuckets(buckets: readonly BucketConfig[], wrong: Wrong): void {
  if (buckets.length === 0) wrong('buckets', 'must have at least one entry');
  for (const [i, bucket] of buckets.entries()) {
    const here = `buckets[${i}]`;
    if (bucket.registryRoot !== '' && bucket.preset !== 'registry') {
      wrong(`${here}.registry_root`, 'belongs to preset registry only');
    }
    if (bucket.writeConcern === 'barrier' && bucket.barrierPatterns.length === 0) {
      wrong(`${here}.barrier_patterns`, 'must be set with write_concern barrier: no key would ever wait');
    }
    if (bucket.writeConcern !== 'barrier' && bucket.barrierPatterns.length > 0) {
      wrong(`${here}.barrier_patterns`, `has no meaning with write_concern ${bucket.writeConcern}`);
    }
    for (const [j, other] of buckets.slice(0, i).entries()) {
      if (other.name === bucket.name) wrong(`${here}.name`, `is the name of buckets[${j}] too`);
      if (overlap(bucket, other)) {
        wrong(
          `${here}.path_prefix`,
          `lies on the same branch inside, around or at the place of buckets[${j}]`,
        );
      }
    }
  }
}

const EVENTS = ['push', 'delete', 'pull', 'alert'];

function checkHooks(config: Config, wrong: Wrong, warnings: string[]): void {
  const { token, targets } = config.notifications;
  const short = (secret: { reveal(): string } | undefined) =>
    secret !== undefined && secret.reveal().length < SECRET_MIN_CHARACTERS;
  const tooShort = `must have at least ${SECRET_MIN_CHARACTERS} characters`;
  if (short(config.webhook.secret)) wrong('webhook.secret', tooShort);
  if (short(token)) wrong('notifications.token', tooShort);
  // Alerts come from Alertmanager, by another process: they need nothing of the registry.
  if (token === undefined && targets.some(({ events }) => events.some((event) => event !== 'alert')))
    wrong(
      'notifications.token',
      'must be set, itself or as notifications.token_file, where there are targets',
    );
  checkTargets(targets, wrong, warnings);
}

/** Also for the alert bridge, which reads these alone. */
export function checkTargets(
  targets: Config['notifications']['targets'],
  wrong: Wrong,
  warnings: string[],
): void {
  for (const [i, target] of targets.entries()) {
    const here = `notifications.targets[${i}]`;
    if (targets.slice(0, i).some((other) => other.name === target.name))
      wrong(`${here}.name`, 'stands twice in the list');
    const url = URL.canParse(target.url.reveal()) ? new URL(target.url.reveal()) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
      wrong(`${here}.url`, 'must be http(s)://host/path without user and password');
    else if (url.protocol === 'http:' && !/^(localhost|127\..*|\[::1\])$/.test(url.hostname))
      warnings.push(`${here}.url is http: names of images cross the network in clear text`);
    if (target.secret !== undefined && target.secret.reveal().length < SECRET_MIN_CHARACTERS)
      wrong(`${here}.secret`, `must have at least ${SECRET_MIN_CHARACTERS} characters`);
    if (target.format === 'json' && target.secret === undefined)
      wrong(`${here}.secret`, 'must be set, itself or as secret_file, with format json');
    if (target.format === 'wecom' && target.secret !== undefined)
      wrong(`${here}.secret`, 'has no meaning with format wecom, whose url is the secret');
    for (const event of target.events)
      if (!EVENTS.includes(event)) wrong(`${here}.events`, `must be of ${EVENTS.join(', ')}, not ${event}`);
  }
}

function checkCreateBuckets(config: Config, wrong: Wrong, warnings: string[]): void {
  const { repository, branch, pathPrefix } = config.createBuckets;
  if (repository === undefined) {
    for (const [i, key] of config.accessKeys.entries())
      if (key.createBuckets)
        warnings.push(`access_keys[${i}].create_buckets has no effect: create_buckets.repository is not set`);
    return;
  }
  for (const [i, bucket] of config.buckets.entries())
    if (overlap(bucket, { repository, branch, pathPrefix }))
      wrong(
        'create_buckets.path_prefix',
        `lies on the same branch inside, around or at the place of buckets[${i}]`,
      );
}

type Place = Pick<BucketConfig, 'repository' | 'branch' | 'pathPrefix'>;

/** Gitee's names are the same in any case: Acme/Images and acme/images are one repository. */
function overlap(a: Place, b: Place): boolean {
  if (a.repository.toLowerCase() !== b.repository.toLowerCase() || a.branch !== b.branch) return false;
  const [pa, pb] = [a.pathPrefix, b.pathPrefix].map((p) => (p === '' ? '' : `${p}/`)) as [string, string];
  return pa.startsWith(pb) || pb.startsWith(pa);
}
