/**
 * The order in which the commands of the operator's pages are run on one stack, each block once. A block is named by
 * its page and a text that it alone on this page has.
 */
import type { OperatorPage } from './operator-docs.js';

export interface Step {
  readonly page: OperatorPage;
  readonly has: string;
  /** What its standard output must show. */
  readonly shows?: RegExp;
  /** What its standard error must show. */
  readonly says?: RegExp;
  /** Something that happens to the stack before it: a fault that the page is about, or what the page has the reader do. */
  readonly before?: 'values' | 'branch-rewritten' | 'new-repository' | 'list-password';
  /** In a checkout of its own, with these values in .env: another choice at set-up. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

const ready = /: running, process \d+, ready\n/;
const digest = /^Digest: sha256:[0-9a-f]{64}$/m;

export const PLAN: readonly Step[] = [
  { page: 'install', has: 'cp .env.example .env' },
  {
    page: 'install',
    has: 'setup.sh --yes --token-file',
    before: 'values',
    shows: /ok +token[\s\S]*docker login -u/,
  },
  { page: 'install', has: 'docker compose ps', shows: ready },
  { page: 'install', has: '--force-recreate', shows: ready },
  { page: 'install', has: 'certs.d' },
  { page: 'install', has: 'docker push', shows: digest },
  { page: 'install', has: 'robot add', shows: /Login Succeeded/ },
  { page: 'install', has: 'htpasswd -iB', before: 'list-password' },
  {
    page: 'install',
    has: 'setup.sh --yes --cert',
    elsewhere: { TLS: 'own', REGISTRY_HOST: 'registry.example.com' },
  },
  { page: 'install', has: 'privkey.pem tls/registry.key', elsewhere: {} },
  { page: 'install', has: 'bundle.sh save', shows: /images$/m },
  { page: 'install', has: 'bundle.sh load' },

  {
    page: 'images',
    has: 'images.sh list',
    shows: /^team\/nginx:1\.26\n[\s\S]*^team\/nginx:1\.26 {2}sha256:[0-9a-f]{64}$/m,
  },
  { page: 'images', has: 'images.sh delete', shows: /^deleted team\/trial:1@sha256:[0-9a-f]{64}$/m },
  { page: 'images', has: 'images.sh collect', shows: /blobs marked[\s\S]*: journal: problems 0\n/ },

  { page: 'production-checklist', has: 'gitee-s3 doctor', shows: /^ok +/m },
  { page: 'production-checklist', has: 'date -u', shows: /UTC[\s\S]*date: .*GMT/i },
  { page: 'production-checklist', has: 'df -h', shows: /Avail/ },
  { page: 'production-checklist', has: 'openssl s_client', shows: /notAfter=/ },
  { page: 'production-checklist', has: 'robot list', shows: /robot\$ci +enabled/ },
  { page: 'production-checklist', has: 'audit verify', shows: /the chain holds/ },

  { page: 'troubleshooting', has: 'gitee-s3 doctor\ndocker compose logs --tail 50 gateway', shows: ready },
  { page: 'troubleshooting', has: 'head -20', shows: /401[\s\S]*x-request-id/i },
  { page: 'troubleshooting', has: '/api/v5/user', shows: /"login":\s*"zhang"/ },
  { page: 'troubleshooting', has: 'echo same', shows: /same\nREGISTRY_HOST=.*\n[\s\S]*realm: https:/ },
  { page: 'troubleshooting', has: 'token.grant', shows: /token\.grant.*zhang/ },
  { page: 'troubleshooting', has: '--action login\n', shows: /login +zhang/ },
  { page: 'troubleshooting', has: 'session list', shows: /\d sessions? ended/ },
  { page: 'troubleshooting', has: '-ext subjectAltName', shows: /notAfter=[\s\S]*127\.0\.0\.1/ },
  { page: 'troubleshooting', has: '--tail 500', shows: /: journal: problems 0\n/ },
  { page: 'troubleshooting', has: '--tail 20 gateway' },
  { page: 'troubleshooting', has: 'metrics', shows: /gateway_uplink_bytes_per_second \d/ },
  { page: 'troubleshooting', has: 'docker compose restart registry' },
  { page: 'troubleshooting', has: 'kill -s HUP gateway', shows: /^ok +/m },
  { page: 'troubleshooting', has: 'accept-remote', before: 'branch-rewritten', shows: ready },
  { page: 'troubleshooting', has: '%{http_code} %{time_total}', shows: /^[234]\d\d \d/m },
  { page: 'troubleshooting', has: 'du -sh', shows: /\d.*gitee-s3/ },
  { page: 'troubleshooting', has: 'date -u', shows: /date:/i },

  { page: 'security', has: 'ls -l secrets', shows: /gitee-token/ },
  { page: 'security', has: 'kill -s HUP gateway', shows: /^ok +/m },
  { page: 'security', has: '--tls-max 1.1', says: /alert|protocol|SSL/i },
  { page: 'security', has: 'robot disable ci', shows: /robot\$ci: disabled/ },
  { page: 'security', has: 'audit verify', shows: /the chain holds/ },

  { page: 'upgrade', has: 'gitee-s3 version', shows: ready },
  { page: 'upgrade', has: 'git -C /opt/gitee-s3 pull', shows: ready },
  { page: 'upgrade', has: 'gitee-s3-gateway:before gitee-s3-gateway:latest', shows: ready },
  { page: 'upgrade', has: 'registry:2.8.3', shows: /image: registry:2\.8\.3/ },
  { page: 'upgrade', has: 'rm compose.override.yaml' },

  { page: 'backup-restore', has: 'gitee-s3-settings.tar.gz' },
  { page: 'backup-restore', has: 'audit.tar.gz' },
  { page: 'backup-restore', has: 'git clone --mirror' },
  { page: 'backup-restore', has: 'remote update' },
  { page: 'backup-restore', has: 'gitee-s3 rebuild' },
  { page: 'backup-restore', has: 'gitee-s3 fsck\ndocker login', shows: digest },
  {
    page: 'backup-restore',
    has: 'git clone https://gitee.com/acme/images.git images\n',
    shows: /^complete$/m,
  },
  {
    page: 'backup-restore',
    has: 'docker run -d --name restored',
    shows: /team\/nginx[\s\S]*Digest: sha256:/,
  },
  { page: 'backup-restore', has: 'lfs push --all', before: 'new-repository', shows: /^complete$/m },
  { page: 'backup-restore', has: 'accept-remote', shows: /^clean\n[\s\S]*Digest: sha256:[0-9a-f]{64}$/m },
];
