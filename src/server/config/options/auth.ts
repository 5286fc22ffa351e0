/** Logins of the registry. Rows of the table of options (src/server/config/options.ts). */
import { duration, file, group, integer, list, secret, text, toggle } from '../option.js';

export const AUTH_OPTIONS = {
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
} as const;
