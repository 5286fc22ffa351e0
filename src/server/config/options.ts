/**
 * The one table of options. Types, start-up check, environment names, `--help` and docs/configuration.md come
 * from it; test/docs holds the document to it, both ways.
 */
import {
  choice,
  duration,
  file,
  group,
  integer,
  list,
  port,
  rate,
  rights,
  secret,
  size,
  text,
  texts,
  toggle,
} from './option.js';

const MIB = 1024 ** 2;

export const OPTIONS = {
  region: text({
    default: 'us-east-1',
    about: 'Region that clients sign for. A request signed for another region is told this one, as S3 does.',
  }),
  state_dir: file({
    default: '/var/lib/gitee-s3',
    about:
      'Directory of the journal, the index, the chunk store and the control socket. What is acknowledged but not yet on Gitee exists only here: put it on a disk you trust, and never share it between two gateways.',
  }),
  s3: group('The S3 endpoint. It speaks plain HTTP: put Nginx with TLS before it (nginx/registry.conf).', {
    host: text({ default: '127.0.0.1', about: 'Address to listen on.' }),
    port: port({ default: '9000', about: 'Port to listen on; 0 takes a free one and logs it.' }),
    domain: text({
      about:
        'Also answer virtual-host style requests: with s3.example.com, requests to registry.s3.example.com are for bucket registry. Unset: path style only.',
    }),
    body_idle: duration({
      default: '30s',
      minMs: 1,
      about:
        'How long a body may stand still while the gateway waits for it: then 400 RequestTimeout, and nothing of it is kept.',
    }),
    answer_idle: duration({
      default: '15m',
      minMs: 1,
      about:
        'How long a client may take nothing of its answer: then the connection is cut. Longer than Nginx waits for its clients.',
    }),
  }),
  metrics: group('Metrics and health, on an address of their own and without a login: keep it inside.', {
    host: text({ default: '127.0.0.1', about: 'Address of /metrics, /healthz and /readyz.' }),
    port: port({ default: '9464', about: 'Port of /metrics, /healthz and /readyz.' }),
  }),
  web: group('Token service, login page, webhooks and notifications. It speaks plain HTTP, behind Nginx.', {
    host: text({ default: '127.0.0.1', about: 'Address to listen on, where one of them is switched on.' }),
    port: port({ default: '5002', about: 'Port to listen on; 0 takes a free one and logs it.' }),
    trusted_proxies: texts({
      default: '[loopback, linklocal, uniquelocal]',
      about:
        'Addresses or networks whose X-Forwarded-For is believed, for lock-out and audit; loopback, linklocal and uniquelocal are names of networks.',
    }),
  }),
  gitee: group('The Gitee server that keeps everything.', {
    url: text({
      pattern: /^https?:\/\/[^/?#\s@]+\/?$/,
      fits: 'must be http(s)://host[:port] without path, user or password',
      about:
        'Address of Gitee, such as https://gitee.com. Unset: the embedded local Gitee is started and used.',
    }),
    token: secret({
      about:
        'Personal access token with the scopes projects and user_info. It is sent to the host of gitee.url only. Read again from its file on a 401 and on SIGHUP.',
    }),
    user: text({
      default: 'oauth2',
      about: 'User name that goes with the token for git over HTTPS: oauth2, or your login name.',
    }),
    lfs_user: text({
      about: 'User name that goes with the token for Git LFS, where it differs from gitee.user.',
    }),
    ca_file: file({
      about:
        'PEM file of the authorities to trust for gitee.url, for a private Gitee with its own authority.',
    }),
    identity_name: text({ default: 'gitee-s3 gateway', about: 'Author and committer of the commits.' }),
    identity_email: text({
      default: 'gateway@gitee-s3.invalid',
      pattern: /^[^\s@<>]+@[^\s@<>]+$/,
      fits: 'must be an e-mail address',
      about:
        'E-mail address in the commits. Gitee may refuse a private address (GE007) or one unknown to the enterprise: then use the public address of the account of gitee.token.',
    }),
    timeouts: group('Deadlines of calls to Gitee. Every call ends by one of them.', {
      connect: duration({ default: '5s', minMs: 100, about: 'To open a connection.' }),
      idle: duration({ default: '15s', minMs: 100, about: 'Without a byte in either direction.' }),
      api: duration({ default: '30s', minMs: 100, about: 'One API or LFS batch call in all.' }),
      push: duration({ default: '60s', minMs: 1000, about: 'One git push in all.' }),
      push_per_100k_keys: duration({
        default: '5s',
        about: 'Added to the push deadline for every 100,000 keys: the server checks the whole tree.',
      }),
    }),
    lfs_batch_max: integer({
      default: '100',
      min: 1,
      max: 1000,
      about: 'LFS objects asked for in one batch call.',
    }),
    lfs_parallel: integer({
      default: '4',
      min: 1,
      max: 64,
      about:
        'Large LFS uploads at the same time, on a fast line; many more small ones, and fewer on a slow line.',
    }),
    lfs_quota_action: choice(['warn', 'refuse'], {
      default: 'warn',
      about:
        'What becomes of an upload for which gitee.lfs_quota_bytes has no room, by what this gateway knows to be used. warn: it is taken, and waits on this disk once Gitee refuses it. refuse: it ends with QuotaExceeded before its bytes are taken; what needs no LFS, and pulls, go on.',
    }),
    lfs_quota_bytes: size({
      about:
        'LFS space that your plan gives, for the metric and the alarm; Gitee has no call that tells it. Look it up in the enterprise dashboard under extensions, LFS.',
    }),
  }),
  local_gitee: group('The embedded Gitee-compatible server, for trying out and for tests.', {
    enabled: toggle({
      about: 'Start it as a child process. Default: true exactly when gitee.url is not set.',
    }),
    host: text({ default: '127.0.0.1', about: 'Address to listen on.' }),
    port: port({ default: '9300', about: 'Port of its pages, git and API.' }),
    lfs_port: port({ default: '9301', about: 'Port of its LFS data, another one as on Gitee.' }),
    data_dir: file({
      about: 'Where its repositories and LFS objects lie. Default: local-gitee inside state_dir.',
    }),
  }),
  chunk_size: size({
    default: '8MiB',
    minBytes: 5 * MIB,
    maxBytes: 1024 * MIB,
    fits: 'must be a size from 5MiB to 1GiB',
    about:
      "Largest piece that an object is cut into. Make it equal to the registry's chunksize. Objects that are stored already keep their pieces.",
  }),
  inline_limit: size({
    default: '64KiB',
    maxBytes: MIB,
    fits: 'must be a size up to 1MiB',
    about: 'Objects up to this size are ordinary files in git; larger ones go to LFS.',
  }),
  eager_from: size({
    default: '5MiB',
    about:
      'The end of a body is sent to Gitee at once from this size on, and else when the line is idle or its commit comes; full chunks always are.',
  }),
  spool_soft: size({
    default: '4GiB',
    about: 'Bytes not yet on Gitee from which on uploads are refused with 503 SlowDown after a wait.',
  }),
  spool_hard: size({
    default: '16GiB',
    about: 'Bytes not yet on Gitee from which on every write is refused at once.',
  }),
  disk_reserve: size({
    default: '1GiB',
    about: 'Free disk space that is never used: below it writes are refused, and nothing breaks.',
  }),
  cache: group('Chunks kept on disk for reading.', {
    max_bytes: size({ default: '20GiB', about: 'Size of the cache; at most half of the disk is used.' }),
    grace_max_bytes: size({
      default: '4GiB',
      about:
        'Beside the cache: what was pushed stays here for a day after Gitee has it, but no more than this; at most a quarter of the disk is used.',
    }),
  }),
  uplink_initial: rate({
    default: '1MiB',
    about:
      'Line speed to Gitee (bytes per second) that is assumed until one was measured; what was measured is kept over a restart (as at least 64 KiB and at most 125 MB per second).',
  }),
  commit: group('When waiting changes become a commit on Gitee (a barrier does it at once).', {
    interval: duration({
      default: '60s',
      minMs: 10,
      about: 'The oldest waiting change is at most this old.',
    }),
    max_changes: integer({ default: '10000', min: 1, max: 1_000_000, about: 'Or so many changes wait.' }),
  }),
  poll_interval: duration({
    default: '60s',
    minMs: 100,
    about: 'How often the branch is read for changes made by others.',
  }),
  barrier: group('Writes that wait for Gitee.', {
    hold: duration({
      default: '90s',
      minMs: 100,
      about:
        'How long such a write waits while nothing gets through to Gitee, before it is answered 503: stored here, not yet on Gitee, will land.',
    }),
    hold_max: duration({
      default: '10m',
      minMs: 100,
      about: 'How long it waits in all, while uploads or commits get through.',
    }),
  }),
  local_key_ttl: duration({
    default: '24h',
    minMs: 60_000,
    about:
      'Upload files of the registry and unfinished multipart uploads are dropped so long after the last touch.',
  }),
  outage: choice(['reject', 'accept'], {
    default: 'reject',
    about:
      'While Gitee is down: reject answers 503 to a tag; accept acknowledges it, and a lost disk then loses it. See gateway_spool_bytes_at_risk.',
  }),
  access_keys: list('Who may use the S3 endpoint. At least one.', {
    access_key_id: text({
      required: true,
      pattern: /^[\x21-\x2e\x30-\x7e]{3,128}$/,
      fits: 'must be 3 to 128 printable characters without blanks and slashes',
      about: 'Public half of the key.',
    }),
    secret_access_key: secret({ required: true, about: 'Secret half of the key, at least 8 characters.' }),
    buckets: rights({ default: '{"*": write}', about: 'Rights by bucket name; * is every other bucket.' }),
    create_buckets: toggle({
      default: 'false',
      about: 'May create and delete buckets (create_buckets), and has the right write on those that it made.',
    }),
  }),
  buckets: list('Buckets and where each lies on Gitee. At least one.', {
    name: text({
      required: true,
      pattern: /^(?!xn--)(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
      fits: 'must be a bucket name by the rules of S3: 3 to 63 of a-z, 0-9, - and .',
      about: 'Name of the bucket.',
    }),
    repository: text({
      required: true,
      pattern: /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/,
      fits: 'must be owner/repository',
      about: 'Repository on Gitee, as owner/name. It must exist, with LFS enabled.',
    }),
    branch: text({
      default: 'master',
      pattern: /^(?!.*(?:\.\.|\/\/|@\{|\.lock$|\/$|\.$))[\w][\w./-]*$/,
      fits: 'must be the name of a git branch',
      about:
        'Branch whose tree is the bucket: best the default branch of the repository, which a plain clone checks out. Give it to the gateway alone.',
    }),
    path_prefix: text({
      default: '',
      pattern: /^(?:[\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?$/,
      fits: 'must be a directory such as images or a/b, or empty',
      about:
        'Directory of the repository that the bucket fills. Two buckets must not lie one inside the other.',
    }),
    public_read: toggle({
      default: 'false',
      about:
        'Everybody who reaches the S3 endpoint may get, list and head its objects without a signature; nobody may write without one. Leave it false for the registry: who may pull is decided by the registry.',
    }),
    preset: choice(['registry', 'generic'], {
      default: 'generic',
      about:
        "registry: laid out so that a clone is a root directory of the registry's filesystem driver. generic: any S3 client; keeps all metadata.",
    }),
    registry_root: text({
      default: '',
      pattern: /^(?:[\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?$/,
      fits: 'must be a directory such as images, without a leading /',
      about: "With preset registry: the registry's rootdirectory, without the leading /.",
    }),
    write_concern: choice(['local', 'remote', 'barrier'], {
      about:
        'When a write is acknowledged. local: safe on this disk. remote: on Gitee. barrier: as local, but keys that match barrier_patterns wait until they and what they rest on are on Gitee. Default: barrier with preset registry, else local.',
    }),
    barrier_patterns: texts({
      about:
        'With barrier: patterns of keys (* within a component, ** over several). Default with preset registry: the tags, <registry_root>docker/registry/v2/repositories/**/_manifests/tags/*/current/link.',
    }),
  }),
  audit: group('The audit log: who did what, when, from where, with which result (docs/audit.md).', {
    directory: file({
      about:
        'Where its files lie, rights 0600. Default: audit inside state_dir. Never share it between two gateways.',
    }),
    keep_days: integer({
      default: '190',
      min: 1,
      max: 36_500,
      about: 'Days that a file is kept after its last event; then it is deleted, and the chain says so.',
    }),
    file_max: size({
      default: '16MiB',
      minBytes: 64 * 1024,
      maxBytes: 256 * MIB,
      fits: 'must be a size from 64KiB to 256MiB',
      about:
        'A file that reaches this size is followed by the next one; so is the file of a day that is over.',
    }),
    syslog: text({
      pattern: /^(?:(?:udp|tcp):\/\/(?:\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}|unix:\/\/\/[^\s?#]+)$/,
      fits: 'must be udp://host:port, tcp://host:port or unix:///path',
      about:
        'Also send every event to this syslog server, as RFC 5424 with the line of the audit log for message. unix:///dev/log for the local one.',
    }),
  }),
  webhook: group('Webhooks from Gitee, at /hook and /hook/gitee of the web address.', {
    secret: secret({
      about:
        'Password or signature key of the webhook, as entered at Gitee, at least 8 characters. Switches the webhook on: a push by others then shows at once instead of after poll_interval.',
    }),
  }),
  notifications: group('Notifications from the registry, at /notifications of the web address.', {
    token: secret({
      about:
        'What the registry sends as Authorization: Bearer, at least 8 characters. Switches notifications on: each becomes an audit event and goes to the targets.',
    }),
    blobs: toggle({
      default: 'false',
      about: 'Also take events of single layers. Without it only those of images and tags are kept.',
    }),
    targets: list('Webhooks that are told of pushes, pulls and deletions of images.', {
      name: text({
        required: true,
        pattern: /^[a-z0-9][a-z0-9-]{0,31}$/,
        fits: 'must be 1 to 32 of a-z, 0-9 and -',
        about: 'Name in metrics, logs and gitee-s3 notifications.',
      }),
      url: secret({
        required: true,
        about:
          'Where to POST to, http(s). A secret, since the address of a chat robot is all that it takes to write there.',
      }),
      secret: secret({
        about:
          'Key of the signature: required with format json, optional with dingtalk and feishu, none with wecom.',
      }),
      events: texts({
        default: '[push, delete]',
        about: 'Of what: push, delete, pull; alert: alerts of the monitoring, by gitee-s3 alert-bridge.',
      }),
      format: choice(['json', 'dingtalk', 'feishu', 'wecom'], {
        default: 'json',
        about: 'json: signed JSON for a program of yours. The others: a message of that chat robot.',
      }),
    }),
  }),
  alerts: group('The alert bridge (gitee-s3 alert-bridge): from Alertmanager to notifications.targets.', {
    host: text({ default: '127.0.0.1', about: 'Address to listen on; Alertmanager posts to /alerts there.' }),
    port: port({ default: '9465', about: 'Port to listen on; 0 takes a free one and logs it.' }),
    token: secret({
      about:
        'What Alertmanager sends as Authorization: Bearer, at least 8 characters. Needed by the bridge only.',
    }),
    docs_url: text({
      pattern: /^https?:\/\/[^?#\s]+$/,
      fits: 'must be http(s)://host/path',
      about:
        'Address under which your people read docs/, such as https://gitee.com/acme/gitee-s3/blob/master: with it messages link to the page of an alert.',
    }),
  }),
  auth: group('Token service of the registry: logins with Gitee accounts, docker passwords and robots.', {
    enabled: toggle({
      default: 'false',
      about: 'Serve /token on the web address, for a registry that is configured with token authentication.',
    }),
    service: text({
      default: 'registry',
      pattern: /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/,
      fits: 'must be 1 to 128 printable characters without blanks, quotes and backslashes',
      about: "Must equal auth.token.service of the registry's configuration.",
    }),
    issuer: text({
      default: 'gitee-s3',
      pattern: /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/,
      fits: 'must be 1 to 128 printable characters without blanks, quotes and backslashes',
      about: "Must equal auth.token.issuer of the registry's configuration.",
    }),
    public_url: text({
      pattern: /^https?:\/\/[^/?#\s@]+\/?$/,
      fits: 'must be http(s)://host[:port] without path, user or password',
      about: 'How people reach this service through Nginx, such as https://registry.example.com.',
    }),
    key_file: file({
      about:
        'PEM file of the private key that signs tokens: P-256 (ES256) or RSA of 2048 bits and more (RS256).',
    }),
    certificate_file: file({
      about:
        "PEM file of its certificate, chain after it; the registry's rootcertbundle must hold it or its authority.",
    }),
    encryption_key: secret({
      about:
        'Key that Gitee tokens are kept encrypted with: 32 bytes as 64 hexadecimal digits or base64. With another key all sessions end and everybody logs in again.',
    }),
    token_ttl_pull: duration({
      default: '10m',
      minMs: 60_000,
      about: 'How long a token for pulling holds.',
    }),
    token_ttl_push: duration({
      default: '60m',
      minMs: 60_000,
      about: 'How long a token that allows changes holds: the upload of one layer must not outlast it.',
    }),
    anonymous_pull: toggle({
      default: 'false',
      about: 'Let everybody pull, without login, what lies in a public repository on Gitee.',
    }),
    images: list(
      "Whose rights count for which images. The most specific pattern wins, the first among equals; all other images go by the repository of the registry's bucket.",
      {
        pattern: text({
          required: true,
          pattern: /^[a-z0-9*][a-z0-9._*/-]{0,254}$/,
          fits: 'must be a pattern of image names such as team/app or team/**',
          about: 'Image names: * stands for anything within a component, ** for anything.',
        }),
        repository: text({
          required: true,
          pattern: /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/,
          fits: 'must be owner/repository',
          about:
            'Repository on Gitee: who may pull it may pull these images, who may push may push, administrators may delete.',
        }),
      },
    ),
    verdict_ttl: duration({
      default: '120s',
      about:
        'How long an answer of Gitee about a login or a right counts: 60s to 300s. A refusal counts 30s.',
    }),
    verdict_stale: duration({
      default: '1h',
      about: 'While Gitee cannot be reached, how old an answer may be that lets somebody in.',
    }),
    lockout: group('Against guessing of passwords.', {
      failures: integer({
        default: '10',
        min: 1,
        max: 1000,
        about:
          'So many failed logins of one account from one address lock the two; five times as many from one address lock the address.',
      }),
      window: duration({ default: '10m', minMs: 1000, about: 'Failures older than this are forgotten.' }),
      duration: duration({ default: '15m', minMs: 1000, about: 'How long the lock holds.' }),
    }),
    sessions_max: integer({
      default: '20',
      min: 1,
      max: 1000,
      about: 'Clients that one account is logged in on at a time; the oldest is logged out by one more.',
    }),
    session_ttl: duration({
      default: '14d',
      minMs: 60_000,
      about: 'A client that was not used for so long must log in again.',
    }),
    oauth: group('The page /auth/, where people sign in with Gitee and get a docker password.', {
      client_id: text({
        about:
          'Client ID of an application registered on Gitee, with the callback <auth.public_url>/auth/callback. Unset: there is no page.',
      }),
      client_secret: secret({ about: 'Client Secret of that application.' }),
      scope: text({
        default: 'user_info projects',
        pattern: /^[a-z_]+( [a-z_]+)*$/,
        fits: 'must be names of scopes with one blank between them',
        about: 'What the page asks for: user_info and projects are needed, and no more.',
      }),
      pkce: toggle({
        default: 'false',
        about: 'Send a code challenge (RFC 7636). Switch it on where your Gitee is known to take it.',
      }),
    }),
  }),
  cors: list('Which web pages of other origins may use buckets from a browser. The first that fits counts.', {
    buckets: texts({ default: '["*"]', about: 'Names of buckets; * is every bucket.' }),
    origins: texts({
      required: true,
      about:
        'Origins of the pages, such as https://app.example.com; one * in each stands for any text, and * alone for every page.',
    }),
    methods: texts({ required: true, about: 'Of GET, PUT, POST, DELETE and HEAD.' }),
    headers: texts({
      default: '[]',
      about:
        'Headers that a page may send; one * in each stands for any text. For uploads by signed requests: ["*"].',
    }),
    expose_headers: texts({
      default: '[]',
      about: 'Headers that a page may read beyond the usual ones, such as ETag.',
    }),
    max_age: duration({ about: 'How long a browser may keep the permission. Unset: it decides itself.' }),
  }),
  create_buckets: group(
    'Buckets made by request (CreateBucket, DeleteBucket). Each is a directory of one repository.',
    {
      repository: text({
        pattern: /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/,
        fits: 'must be owner/repository',
        about:
          'Repository on Gitee for them, as owner/name. Unset: buckets stand in this configuration only, and creation is refused.',
      }),
      branch: text({
        default: 'master',
        pattern: /^(?!.*(?:\.\.|\/\/|@\{|\.lock$|\/$|\.$))[\w][\w./-]*$/,
        fits: 'must be the name of a git branch',
        about: 'Branch for them.',
      }),
      path_prefix: text({
        default: 'buckets',
        pattern: /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*\/?$/,
        fits: 'must be a directory such as buckets or a/b',
        about:
          'Directory for them: bucket photos fills <path_prefix>/photos, the list of them <path_prefix>/_catalogue.',
      }),
      max: integer({
        default: '100',
        min: 1,
        max: 1000,
        about:
          'So many at most. Each has a committer and an index of its own; docs/operations.md says what that costs.',
      }),
    },
  ),
  log: group('Logs: one JSON object a line on standard error.', {
    level: choice(['error', 'warn', 'info', 'debug'], {
      default: 'info',
      about: 'Least severity that is written.',
    }),
  }),
  shutdown: group('Graceful stop.', {
    grace: duration({
      default: '20s',
      about:
        'On SIGTERM, how long running requests and a running commit may go on. A second signal ends at once.',
    }),
  }),
} as const;
