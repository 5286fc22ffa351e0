import { classifyFailure, detailOf, isLocalDamage } from '../../../../src/gitee/git/stderr.js';
import type { RemoteCause } from '../../../../src/gitee/errors.js';

const context = { repository: 'https://gitee.com/acme/images.git', branch: 'main' };
const hung = 'fatal: the remote end hung up unexpectedly';
const declined = '[remote rejected] (pre-receive hook declined)';
const status = (code: number) =>
  `fatal: unable to access 'https://gitee.com/acme/images.git/': The requested URL returned error: ${code}`;
const rpc = (code: number) =>
  `error: RPC failed; HTTP ${code} curl 22 The requested URL returned error: ${code}\nsend-pack: unexpected disconnect while reading sideband packet\n${hung}`;

/** Texts as recorded in docs/facts/gitee.md §3 and docs/facts/git-at-scale.md §2. */
const recorded: [RemoteCause, string, string][] = [
  [
    'file-too-large',
    'a file over the plan’s limit',
    `remote: error: File: 8d1c8b69c3fce7bea45c73efd06983e3c419a92f 107.83 MB, exceeds 100.00 MB.\nremote: Please remove the file from history and try again. (https://gitee.com/help/articles/4232)\n${declined}`,
  ],
  [
    'quota-full',
    'the repository’s quota, newer text',
    `remote: Repo size: 1077.199MB, exceeds quota 1024MB\nremote: Push rejected for repository [size exceeds limit]\nremote: Repository GC: https://gitee.com/o/r/settings#git-gc\n${declined}`,
  ],
  [
    'quota-full',
    'the repository’s quota, older text',
    `remote: This repository(including wiki) size 581.64 MB exceeds 500.00 MB\n${declined}`,
  ],
  ['quota-full', 'status 507', status(507)],
  ['bandwidth-exceeded', 'status 509', status(509)],
  [
    'identity-refused',
    'e-mail privacy',
    'remote: error: GE007: Your push would publish a private email address.\nerror: hook declined to update refs/heads/main\n[remote rejected] (hook declined)',
  ],
  [
    'identity-refused',
    'a push rule about messages',
    `remote: error: commit message does not match the rule ^JIRA-\n${declined}`,
  ],
  [
    'branch-protected',
    'a protected branch',
    `remote: error: Permission denied: main is a protected branch, you are not allowed to push to it.\n${declined}`,
  ],
  ['branch-protected', 'a protected branch, in Chinese', `remote: 分支 main 已设置保护\n${declined}`],
  [
    'repository-closed',
    'a closed repository',
    `remote: [session-1] This repository is closed or paused, push is not allowed\n${status(403)}`,
  ],
  [
    'server-fault',
    'a server that collects garbage in the middle of the push',
    '[remote rejected] (unable to migrate objects to permanent storage)',
  ],
  [
    'server-fault',
    'a server whose disk is full',
    `remote: fatal: write error: No space left on device\nerror: remote unpack failed: index-pack abnormal exit\n[remote rejected] (unpacker error)`,
  ],
  [
    'content-refused',
    'a server that checks objects',
    `remote: error: object 1a2b: hasDotgit: contains '.git'\nremote: fatal: fsck error in pack objects\nerror: remote unpack failed: index-pack abnormal exit\n[remote rejected] (unpacker error)`,
  ],
  ['refused', 'another object format, fetch', 'fatal: mismatched algorithms: client sha1; server sha256'],
  ['refused', 'an unknown reason of a hook', `remote: error: not on a Friday\n${declined}`],
  [
    'unauthorized',
    'two-factor login',
    `remote: Two-factor authentication (2FA) is enabled, use a personal access token\n${status(403)}`,
  ],
  [
    'unauthorized',
    'a wrong token',
    "remote: [session-0a1b2c3d] LOGIN: Incorrect username or password (access token)\nfatal: Authentication failed for 'https://gitee.com/acme/images.git/'",
  ],
  [
    'unauthorized',
    'no login',
    "fatal: could not read Username for 'https://gitee.com': terminal prompts disabled",
  ],
  [
    'unauthorized',
    'status 401 on POST',
    "error: unable to rewind rpc post data\nfatal: could not read Username for 'https://gitee.com': terminal prompts disabled",
  ],
  ['forbidden', 'no right to push', `remote: [session-0a1b2c3d] Access denied\n${status(403)}`],
  ['forbidden', 'no member of the enterprise', `remote: You hasn't joined this enterprise!\n${status(403)}`],
  ['forbidden', 'status 403 on POST', rpc(403)],
  [
    'repository-missing',
    'no such repository',
    "remote: [session-0a1b2c3d] 404 not found!\nfatal: repository 'https://gitee.com/acme/images.git/' not found",
  ],
  ['repository-missing', 'a redirect', status(301)],
  [
    'lfs-not-enabled',
    'LFS in a plan without it',
    `remote: LFS only supported repository in paid or trial enterprise.\n${declined}`,
  ],
  ['push-too-large', 'status 413 on POST', rpc(413)],
  [
    'push-too-large',
    'receive.maxInputSize',
    'remote: fatal: pack exceeds maximum allowed size\nerror: remote unpack failed: unpack-objects abnormal exit\n[remote rejected] (unpacker error)',
  ],
  ['rate-limited', 'status 429', status(429)],
  ['server-fault', 'status 500', status(500)],
  ['server-fault', 'status 502 on POST', rpc(502)],
  [
    'server-fault',
    'status 503 with a text of the login',
    `remote: [session-1] Access denied\n${status(503)}`,
  ],
  ['timeout', 'status 504', rpc(504)],
  [
    'server-fault',
    'a login page in HTML, push',
    "error: no DAV locking support on https://gitee.com/acme/images.git/\nerror: failed to push some refs to 'https://gitee.com/acme/images.git'\nfatal: git-http-push failed",
  ],
  [
    'server-fault',
    'a login page in HTML, fetch',
    'fatal: https://gitee.com/acme/images.git/info/refs not valid: is this a git repository?',
  ],
  [
    'content-refused',
    'the object check',
    "remote: error: object 5a1c8b69c3fce7bea45c73efd06983e3c419a92f: hasDotgit: contains '.git'\nremote: fatal: fsck error in packed object\n[remote rejected] (unpacker error)",
  ],
  [
    'timeout',
    'a transfer that hangs',
    `error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec transferred the last 3 seconds\n${hung}`,
  ],
  [
    'unreachable',
    'DNS',
    "fatal: unable to access 'https://gitee.com/acme/images.git/': Could not resolve host: gitee.com",
  ],
  [
    'unreachable',
    'a refused connection',
    "fatal: unable to access 'https://gitee.com/acme/images.git/': Failed to connect to gitee.com port 443: Couldn't connect to server",
  ],
  ['unreachable', 'a cut connection', `error: RPC failed; curl 52 Empty reply from server\n${hung}`],
];

describe('the table of git’s texts', () => {
  test.each(recorded)('%s: %s', (cause, _case, text) => {
    const error = classifyFailure(text, context);
    expect(error?.code).toBe(cause);
    expect(error?.message).not.toMatch(/\$\d|%[rb]/);
    expect(isLocalDamage(text)).toBe(false);
  });

  test('the server’s own numbers are in the message', () => {
    const error = classifyFailure(recorded[0]![2], context);
    expect(error?.message).toContain('107.83 MB');
    expect(error?.message).toContain('100.00 MB');
    expect(classifyFailure(recorded[1]![2], context)?.message).toContain(
      'https://gitee.com/acme/images/settings#git-gc',
    );
  });

  test('a name of a repository means nothing', () => {
    const repository = 'https://gitee.com/acme/protected-branch-2FA.git';
    const text = `fatal: unable to access '${repository}/': Could not resolve host: gitee.com`;
    expect(classifyFailure(text, { repository, branch: 'main' })?.code).toBe('unreachable');
  });

  test('an unknown text is no cause', () => {
    expect(classifyFailure('error: something new', context)).toBeUndefined();
  });

  test('the status is kept', () => {
    expect(classifyFailure(status(503), context)?.status).toBe(503);
  });

  test.each([
    'error: object file objects/ab/cdef is empty',
    "fatal: cannot lock ref 'refs/gateway/head': Unable to create 'head.lock': File exists.",
    'warning: ignoring broken ref refs/gateway/head',
    'fatal: not a git repository: (null)',
    'fatal: bad object 5a1c8b69c3fce7bea45c73efd06983e3c419a92f',
    'error: inflate: data stream error (incorrect header check)',
  ])('damage of the local repository: %s', (text) => {
    expect(isLocalDamage(text)).toBe(true);
    expect(isLocalDamage(`remote: ${text}`)).toBe(false);
  });

  test('the detail has the server’s lines first, and no banner', () => {
    expect(
      detailOf(
        'To https://gitee.com/acme/images.git\nremote: Powered by GITEE.COM [1.1.23]\nremote: \nremote: no\n',
      ),
    ).toBe('remote: no\nTo https://gitee.com/acme/images.git');
  });
});
