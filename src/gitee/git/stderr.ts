/**
 * The one table that reads git's words: what the server or the network said, what it means, and what to do.
 * Order matters: the server's own sentences stand before the HTTP status that carries them. Texts are from
 * docs/facts/gitee.md §3 and docs/facts/git-at-scale.md §2; numbers in them are the server's, never ours.
 */
import { RemoteError, type RemoteCause } from '../errors.js';

interface Row {
  readonly cause: RemoteCause;
  readonly pattern: RegExp;
  /** Meaning and next step; $1, $2 are groups of the pattern, %r the repository, %b the branch. */
  readonly message: string;
}

const ROWS: readonly Row[] = [
  // What the server says about the content.
  {
    cause: 'file-too-large',
    pattern: /File: ([0-9a-f]{7,64}) ([\d.]+ ?[KMG]?i?B),? exceeds ([\d.]+ ?[KMG]?i?B)/i,
    message:
      'Gitee refused the file with blob id $1: it has $2, the plan allows $3 a file. Lower inline_limit or chunk_size, or enlarge the plan',
  },
  {
    cause: 'file-too-large',
    pattern: /exceeds (?:the |Gitee'?s? |your )?(?:maximum |max )?file size(?: limit)?/i,
    message:
      'Gitee refused a file of this push: it is over the limit of the plan or of the push rules for one file',
  },
  {
    cause: 'quota-full',
    pattern: /Repo size: ([\d.]+ ?[KMG]?B),? exceeds quota ([\d.]+ ?[KMG]?B)/i,
    message:
      'the repository %r is full: $1 of $2. Run its GC at %r/settings#git-gc or enlarge the plan; pushes go on by themselves then',
  },
  {
    cause: 'quota-full',
    pattern: /This repository ?\(including wiki\) size ([\d.]+ ?[KMG]?B) exceeds ([\d.]+ ?[KMG]?B)/i,
    message:
      'the repository %r is full: $1 of $2. Run its GC at %r/settings#git-gc or enlarge the plan; pushes go on by themselves then',
  },
  {
    cause: 'quota-full',
    pattern:
      /size exceeds limit|exceeds? (?:the |your |its )?(?:\w+ )?quota|over (?:its |the )?(?:data )?quota|quota exceeded|returned error: 507|HTTP 507/i,
    message:
      'the repository %r or its owner is out of space. Run the GC at %r/settings#git-gc or enlarge the plan',
  },
  {
    cause: 'bandwidth-exceeded',
    pattern: /returned error: 509|HTTP 509|bandwidth (?:limit )?exceeded/i,
    message: 'the bandwidth of %r is used up. Wait for the next period or enlarge the plan',
  },
  {
    cause: 'identity-refused',
    pattern: /GE007|publish a private email/i,
    message:
      'Gitee refused the committer’s e-mail address (GE007). Set committer.email to a public or no-reply address, or change the account’s setting at /profile/emails',
  },
  {
    cause: 'identity-refused',
    pattern:
      /(?:author|committer|commit)[^\n]{0,40}e-?mail[^\n]{0,60}(?:suffix|match|not allowed|invalid|must)|commit message[^\n]{0,60}(?:match|regex|rule|must)|(?:only|restrict)[^\n]{0,40}own commits?/i,
    message:
      'a push rule of %r refuses the committer’s address or the commit’s message. Set committer.* to what the rule wants, or exempt this user in the repository’s push settings',
  },
  {
    cause: 'lfs-not-enabled',
    pattern: /LFS only supported repository in/i,
    message:
      'Git LFS is not enabled for %r: Gitee offers it to repositories of paid or trial enterprises only',
  },
  {
    cause: 'content-refused',
    pattern:
      /fsck error|error in packed object|\b(?:hasDotgit|hasDotdot|hasDot|fullPathname|emptyName|treeNotSorted|duplicateEntries|zeroPaddedFilemode|badFilemode|nullSha1|gitmodules\w+|gitattributes\w+)\b/i,
    message: 'the server’s object check refused a path or a file of this push',
  },
  {
    cause: 'push-too-large',
    pattern: /pack exceeds maximum allowed size|returned error: 413|HTTP 413|Request Entity Too Large/i,
    message: 'the push is larger than %r takes at once: it is tried again with fewer changes',
  },
  // What the server says about the branch and the repository.
  {
    cause: 'branch-protected',
    pattern:
      /protected branch|branch[^\n]{0,60}\bprotected\b|not allowed to (?:force )?push (?:code )?to|保护分支|分支[^\n]{0,20}保护/i,
    message: 'the branch %b of %r is protected. Let this user push to it, or take another branch',
  },
  {
    cause: 'repository-closed',
    pattern:
      /(?:repo(?:sitory)?|project)[^\n]{0,60}\b(?:paused|closed|archived|blocked|suspended|disabled|read[- ]only|locked)\b|仓库[^\n]{0,20}(?:暂停|关闭|屏蔽|归档|只读)/i,
    message:
      'the repository %r is paused, closed or blocked: it can be read, not written. Reopen it on Gitee',
  },
  {
    cause: 'refused',
    pattern: /mismatched (?:object format|algorithms)|unsupported object format|repository's hash algorithm/i,
    message:
      'the repository %r has other object ids than SHA-1, which the gateway does not read. Take a repository with git’s default',
  },
  // A status that says "later", whatever text stands beside it.
  {
    cause: 'rate-limited',
    pattern: /returned error: 429|HTTP 429|rate limit|too many requests|操作过于频繁|请求过于频繁/i,
    message: 'Gitee asks for fewer requests: it is tried again later',
  },
  {
    cause: 'timeout',
    pattern: /returned error: (?:408|504)|HTTP (?:408|504)\b/i,
    message: 'Gitee did not answer in time: it is tried again',
  },
  {
    cause: 'server-fault',
    pattern: /returned error: 5\d\d|HTTP 5\d\d\b/i,
    message: 'Gitee failed: it is tried again',
  },
  // Who we are.
  {
    cause: 'unauthorized',
    pattern: /Two-factor authentication|\b2FA\b/i,
    message:
      'the account has two-factor login: its password does not serve. Put a personal access token into the token file',
  },
  {
    cause: 'unauthorized',
    pattern:
      /Incorrect username or password|access token is (?:expired|invalid)|Authentication failed for|could not read (?:Username|Password)|terminal prompts disabled|returned error: 401|HTTP 401\b/i,
    message: 'Gitee refused the token for %r: it is wrong or expired. Put a new one into the token file',
  },
  {
    cause: 'forbidden',
    pattern: /has(?:n'?t|n’t| not) joined this enterprise/i,
    message:
      'the token’s user is no member of the enterprise that owns %r. Add the user, or use the token of a member',
  },
  {
    cause: 'forbidden',
    pattern:
      /Access denied|Permission to [^\n]* denied|returned error: 403|HTTP 403\b|You do not have permission/i,
    message:
      'the token’s user may not push to %r. Give it the role of a developer at least, and the scope "projects"',
  },
  {
    cause: 'repository-missing',
    pattern:
      /404 not found!|repository '[^']*' not found|returned error: 404|HTTP 404\b|does not appear to be a git repository/i,
    message: 'the repository %r does not exist, or this token may not see it. Check owner, name and token',
  },
  {
    cause: 'repository-missing',
    pattern:
      /returned error: 30[1278]|HTTP 30[1278]\b|unable to update url base from redirection|unable to access '[^']*': [^\n]*redirect/i,
    message:
      'the repository %r has moved: the server redirects. Set its new address; the token is not sent elsewhere',
  },
  // The server is not well, or it is not the server.
  {
    cause: 'timeout',
    pattern:
      /Operation too slow|Operation timed out|Connection timed out|Timeout was reached|curl 28\b|SSL connection timeout|Resolving timed out/i,
    message: 'Gitee did not answer in time: it is tried again',
  },
  {
    cause: 'server-fault',
    pattern:
      /no DAV locking support|git-http-push failed|not valid: is this a git repository|dumb http transport|invalid server response|bad line length|protocol error|expected flush|invalid content-type|unexpected (?:packet|line)|cannot handle pushing|bad pack header|bad band/i,
    message:
      'something that is not git answered for %r (a login page, a proxy): check the address if this stays',
  },
  {
    cause: 'unreachable',
    pattern: /Could not resolve (?:host|proxy)|Couldn'?t resolve/i,
    message: 'the name of Gitee’s host cannot be resolved: it is tried again. Check DNS if this stays',
  },
  {
    cause: 'unreachable',
    pattern:
      /SSL certificate|certificate (?:verify|has expired|is not)|server verification failed|self[- ]signed|unable to get local issuer/i,
    message: 'the server’s certificate is not trusted. Check the clock and the certificates of this machine',
  },
  {
    cause: 'unreachable',
    pattern:
      /Failed to connect|Couldn'?t connect|Could not connect|Connection (?:refused|reset)|Empty reply|hung up unexpectedly|unexpected disconnect|early EOF|Network is unreachable|No route to host|(?:Recv|Send) failure|RPC failed|transfer closed|SSL_(?:read|write|ERROR)|gnutls|TLS|Broken pipe|curl (?:7|16|18|35|52|55|56|92)\b|unable to access/i,
    message: 'the connection to Gitee failed or broke: it is tried again',
  },
  // receive-pack about its own disk (git, builtin/receive-pack.c): nothing that this push can mend.
  {
    cause: 'server-fault',
    pattern:
      /unable to (?:migrate objects to permanent storage|create temporary object directory)|(?:index-pack|unpack-objects) (?:abnormal exit|died|fork failed)|unpacker error|remote unpack failed|transaction failed to start/i,
    message: 'Gitee could not store the push to %r: it is tried again',
  },
  // A hook that gives no reason that we know.
  {
    cause: 'refused',
    pattern: /pre-receive hook declined|hook declined|\[remote rejected\]/i,
    message:
      'Gitee refused the push to %b of %r for a reason that this version does not know; see the detail',
  },
];

/** Words of git about the local repository itself; lines of the server are left out. */
const LOCAL_DAMAGE =
  /object file [^\n]* is empty|loose object [^\n]*(?:corrupt|is stored)|inflate: |garbage at end of loose object|unable to (?:unpack|read|parse|find|mmap) |unable to create [^\n]*\.lock|cannot lock ref|bad object|missing (?:blob|tree|commit|object)|broken ref|not a git repository|not a valid object|Not a valid commit name|invalid sha1 pointer|packfile [^\n]*(?:cannot|does not|invalid|too short|truncated)|did not send all necessary objects|bad tree|unresolved delta|error: refs\/|index file [^\n]* is too small|is not a commit/i;

export interface FailureContext {
  /** Address without credentials. */
  readonly repository: string;
  readonly branch: string;
}

/**
 * What a failed git meant, as the error to throw; undefined where no row knows the text. The text must be free
 * of secrets already: it goes into `detail`.
 */
export function classifyFailure(text: string, context: FailureContext): RemoteError | undefined {
  // A repository may be called anything: its name says nothing about what happened.
  const words = text.replaceAll(context.repository.replace(/\.git$/, ''), '');
  for (const { cause, pattern, message } of ROWS) {
    const match = pattern.exec(words);
    if (!match) continue;
    const status = /(?:returned error:|HTTP) (\d{3})\b/.exec(text)?.[1];
    return new RemoteError(
      cause,
      message
        .replace(/\$(\d)/g, (_all, group: string) => match[Number(group)] ?? '')
        .replaceAll('%r', context.repository.replace(/\.git$/, ''))
        .replaceAll('%b', context.branch),
      { detail: detailOf(text), status: status === undefined ? undefined : Number(status) },
    );
  }
  return undefined;
}

/** True where git complains about the local repository, not about the server. */
export function isLocalDamage(text: string): boolean {
  return text
    .split('\n')
    .some(
      (line) =>
        !/^(remote:|fatal: remote error:|\s*!)/.test(line) &&
        !/\[remote rejected\]/.test(line) &&
        LOCAL_DAMAGE.test(line),
    );
}

/** The lines that say something, the server's first; Gitee's banner is noise (docs/facts/gitee.md §3). */
export function detailOf(text: string): string {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== 'remote:' && !/Powered by GITEE|Set trace flag/i.test(line));
  const remote = lines.filter((line) => line.startsWith('remote:'));
  return [...remote, ...lines.filter((line) => !line.startsWith('remote:'))].join('\n').slice(0, 500);
}
