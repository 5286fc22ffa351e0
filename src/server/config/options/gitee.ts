/** Where everything is kept: Gitee, or the embedded one. Rows of the table of options (src/server/config/options.ts). */
import { choice, duration, file, group, integer, port, secret, size, text, toggle } from '../option.js';

export const GITEE_OPTIONS = {
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
} as const;
