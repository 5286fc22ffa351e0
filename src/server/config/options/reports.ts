/** What the gateway records, hears from others and passes on. Rows of the table of options (src/server/config/options.ts). */
import { choice, file, group, integer, list, port, secret, size, text, texts, toggle } from '../option.js';

const MIB = 1024 ** 2;

export const REPORT_OPTIONS = {
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
} as const;
