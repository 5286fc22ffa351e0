/* Imports point one way: protocol -> objects -> storage -> remote; the leaves import nothing of ours. */
const layer = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: to },
});

module.exports = {
  forbidden: [
    layer(
      'protocol-knows-no-storage',
      '^src/s3/',
      '^src/(buckets|chunks|journal|index|space|line|gitee|server|cli|auth|audit|notifications|local-gitee)/',
      'src/s3 speaks HTTP and XML only. What it needs of chunks, journal or Gitee belongs behind src/objects.',
    ),
    layer(
      'objects-know-no-protocol',
      '^src/objects/',
      '^src/(s3|buckets|gitee|server|cli|auth|audit|notifications|local-gitee)/',
      'src/objects knows keys and objects. HTTP belongs to src/s3, Gitee behind src/chunks and src/journal.',
    ),
    layer(
      'buckets-know-no-configuration',
      '^src/buckets/',
      '^src/(s3|server|cli|auth|audit|notifications|local-gitee)/',
      'src/buckets opens buckets where it is told, and lets them come and go. What the configuration says of them is made a place in src/server.',
    ),
    layer(
      'objects-know-no-rows',
      '^src/(s3|objects)/',
      '^src/index/(?!(object-record|extent-list|errors|oid-etag|key-bytes)\\.)',
      'How a bucket keeps what it knows belongs behind BucketState and UploadStore (src/journal).',
    ),
    layer(
      'lmdb-is-behind-the-index',
      '^src/(?!index/)',
      '^src/index/(lmdb-store|commit-group)\\.|^(node_modules/)?lmdb(/|$)',
      'Which engine keeps rows is said once, in src/index/open-store.ts.',
    ),
    layer(
      'rows-are-of-the-log',
      '^src/(?!index/|journal/)',
      '^src/index/(keyspace|key-index|body-store|record-codec|extent-codec|unnamed-bodies)\\.',
      'Rows of the overlay and the base belong behind ChangeLog and BucketState (src/journal).',
    ),
    layer(
      'storage-knows-no-objects',
      '^src/(chunks|journal|index)/',
      '^src/(s3|objects|buckets|server|cli|auth|audit|notifications|local-gitee)/',
      'The storage layer must not know S3: a rule about objects belongs to src/objects.',
    ),
    layer(
      'space-knows-no-askers',
      '^src/space/',
      '^src/(?!space/|index/|format/|async/|disk/|gitee/errors)',
      'src/space counts what Gitee keeps, and says whether there is room; what asks for it belongs to src/chunks.',
    ),
    layer(
      'only-admission-grants',
      '^src/(?!space/|chunks/(admission|api|bucket-chunks|ingest)\\.ts)',
      '^src/space/reservation\\.ts',
      'A reservation is asked for (ChunksApi.reserve), never made: else a body is taken for which there is no room.',
    ),
    layer(
      'index-stands-below-journal-and-chunks',
      '^src/(index|chunks|space)/',
      '^src/journal/',
      'The index and the chunks know nothing of when a change is durable or committed: that belongs to src/journal.',
    ),
    layer(
      'remote-knows-nothing-above',
      '^src/gitee/',
      '^src/(s3|objects|buckets|chunks|journal|index|space|server|cli|auth|audit|notifications|local-gitee)/',
      'src/gitee talks to Gitee and nothing else: what decides when to talk belongs to src/journal or src/chunks.',
    ),
    layer(
      'git-wire-imports-nothing',
      '^src/git-wire/',
      '^src/(?!git-wire/)',
      'src/git-wire is git’s formats on the line, pure: who is asked, with which login and how long, belongs to src/gitee.',
    ),
    layer(
      'leaves-import-nothing',
      '^src/(format|async|disk)/',
      '^src/(?!format/|async/|disk/)',
      'src/format, src/async and src/disk are leaves: anything that needs more belongs one layer up.',
    ),
    layer(
      'line-is-a-leaf',
      '^src/line/',
      '^src/(?!line/|async/|format/|gitee/errors)',
      'src/line knows what a line to Gitee carries and how it fares; who sends what over it, and why, belongs to its callers.',
    ),
    layer(
      'format-and-async-apart',
      '^src/format/',
      '^src/async/',
      'The storage format is pure data; waiting and retrying belong to its callers.',
    ),
    layer(
      'local-gitee-shares-nothing',
      '^src/local-gitee/',
      '^src/(?!local-gitee/)',
      'The emulator has its own reading of the protocols: shared code would hide a misunderstanding on both sides.',
    ),
    layer(
      'nobody-imports-local-gitee',
      '^src/(?!local-gitee/)',
      '^src/local-gitee/',
      'Local Gitee is another program: start it as a process (src/local-gitee/main.ts).',
    ),
    layer(
      'auth-uses-gitee-only',
      '^src/auth/',
      '^src/(s3|objects|buckets|chunks|journal|audit|notifications|server|cli|local-gitee)/',
      'The token service may ask Gitee and keep rows in a store; images are none of its business. It reports to src/async/audit.ts.',
    ),
    layer(
      'auth-accounts-and-gitee-know-no-askers',
      '^src/auth/(accounts|gitee)/',
      '^src/auth/(token|page)/',
      'Who has an account here, and what Gitee says of somebody, are asked by the token service and the page; not the other way.',
    ),
    layer(
      'auth-accounts-apart-from-gitee',
      '^src/auth/accounts/',
      '^src/auth/gitee/',
      'Accounts of our own need no Gitee: what both are asked for is in src/auth/identity.ts.',
    ),
    layer(
      'auth-gitee-apart-from-accounts',
      '^src/auth/gitee/',
      '^src/auth/accounts/',
      'What Gitee says is no account of ours: who needs both belongs to src/auth/token or src/auth/page.',
    ),
    layer(
      'auth-token-apart-from-page',
      '^src/auth/token/',
      '^src/auth/page/',
      'The token service works without the page; src/server puts both together.',
    ),
    layer(
      'auth-page-apart-from-token',
      '^src/auth/page/',
      '^src/auth/token/',
      'The page works without the token service; src/server puts both together.',
    ),
    layer(
      'audit-stands-alone',
      '^src/audit/',
      '^src/(?!audit/|async/|disk/)',
      'The audit log keeps what others report through src/async/audit.ts; what an event means belongs to who reports it.',
    ),
    layer(
      'notifications-know-no-storage',
      '^src/notifications/',
      '^src/(s3|objects|buckets|chunks|journal|audit|auth|server|cli|local-gitee)/',
      'Notifications and webhooks are hints: what follows from one is passed in by src/server.',
    ),
    layer('no-tests-in-src', '^src/', '^(test|bench)/', 'Test support belongs to test/support.'),
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'A cycle means two files are one subject or a third subject hides between them: split it out.',
      from: {},
      to: { circular: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
