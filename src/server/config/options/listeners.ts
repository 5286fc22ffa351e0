/** Where the gateway listens, and where its state lies. Rows of the table of options (src/server/config/options.ts). */
import { duration, file, group, port, text, texts } from '../option.js';

export const LISTENER_OPTIONS = {
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
} as const;
