/** What can be said of the shipped Nginx and registry files without running them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { registryFailure } from '../../src/server/registry-failure.js';
import { readDocument, ROOT } from './document.js';

const FILES = [
  ...readdirSync(join(ROOT, 'nginx'))
    .filter((name) => name.endsWith('.conf'))
    .map((name) => `nginx/${name}`),
  ...readdirSync(join(ROOT, 'nginx/snippets')).map((name) => `nginx/snippets/${name}`),
  'deploy/nginx-upstreams.conf',
];

/** Directives as lists of words: comments, quotes and blocks, and nothing else of Nginx's syntax. */
function directives(text: string): string[][] {
  const out: string[][] = [];
  let words: string[] = [];
  for (const [token] of text.matchAll(/#[^\n]*|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[;{}]|[^\s;{}'"]+/g)) {
    if (token.startsWith('#')) continue;
    if (token === ';' || token === '{') {
      if (words.length > 0) out.push(words);
      words = [];
    } else if (token !== '}') words.push(token);
  }
  return out;
}

/** The oldest Nginx that the files must be valid for. It does not run in the tests: Debian has 1.22. */
const OLDEST = '1.18.0';

/** Every directive used, with the version that brought it; the empty string: before 1.0. A new one needs its row. */
const SINCE: Readonly<Record<string, string>> = {
  absolute_redirect: '1.11.8',
  access_log: '',
  add_header: '',
  chunked_transfer_encoding: '1.1.6',
  client_body_buffer_size: '',
  client_body_timeout: '',
  client_max_body_size: '',
  default_type: '',
  error_log: '',
  error_page: '',
  gzip: '',
  if: '',
  ignore_invalid_headers: '',
  include: '',
  internal: '',
  keepalive: '1.1.4',
  large_client_header_buffers: '',
  limit_req: '',
  limit_req_status: '1.3.15',
  limit_req_zone: '',
  listen: '',
  location: '',
  log_format: '',
  map: '',
  proxy_buffer_size: '',
  proxy_buffering: '',
  proxy_buffers: '',
  proxy_busy_buffers_size: '',
  proxy_connect_timeout: '',
  proxy_hide_header: '',
  proxy_http_version: '1.1.4',
  proxy_intercept_errors: '',
  proxy_max_temp_file_size: '',
  proxy_method: '',
  proxy_next_upstream: '',
  proxy_next_upstream_timeout: '1.7.5',
  proxy_next_upstream_tries: '1.7.5',
  proxy_pass: '',
  proxy_pass_request_body: '',
  proxy_read_timeout: '',
  proxy_request_buffering: '1.7.11',
  proxy_send_timeout: '',
  proxy_set_header: '',
  recursive_error_pages: '',
  return: '',
  root: '',
  send_timeout: '',
  server: '',
  server_name: '',
  server_tokens: '',
  ssl_certificate: '',
  ssl_certificate_key: '',
  ssl_ciphers: '',
  ssl_prefer_server_ciphers: '',
  ssl_protocols: '',
  ssl_session_cache: '',
  ssl_session_tickets: '1.5.9',
  ssl_session_timeout: '',
  stub_status: '',
  underscores_in_headers: '',
  upstream: '',
  zone: '1.9.0',
};

/** The same for variables. Those of headers and arguments ($http_x, $upstream_http_x, $arg_x) are as old as Nginx. */
const VARIABLES: Readonly<Record<string, string>> = {
  args: '',
  binary_remote_addr: '',
  bytes_sent: '',
  host: '',
  https: '1.1.11',
  remote_addr: '',
  remote_user: '',
  request_id: '1.11.0',
  request_length: '',
  request_method: '',
  request_time: '',
  request_uri: '',
  scheme: '',
  server_protocol: '',
  ssl_protocol: '',
  status: '1.3.2',
  time_iso8601: '1.3.12',
  upstream_addr: '',
  upstream_response_time: '',
  upstream_status: '',
  uri: '',
};

/** What examples on the web would bring in, and 1.18 refuses. */
const FORBIDDEN: readonly (readonly [what: RegExp, since: string])[] = [
  [/^\s*http2\s/m, '1.25.1'],
  [/^\s*http3|\bquic\b/m, '1.25.0'],
  [/ssl_reject_handshake/, '1.19.4'],
  [/ssl_conf_command/, '1.19.4'],
  [/keepalive_time\s/, '1.19.10'],
  [/proxy_cookie_flags/, '1.19.3'],
  [/\bserver\s[^;{]*\sresolve\b/, '1.27.3'],
  [/\$ssl_curve\b/, '1.21.5'],
  [/\$ssl_alpn_protocol\b/, '1.21.4'],
  [/\$connection_time\b/, '1.19.10'],
];

const code = (file: string) => readDocument(file).replaceAll(/^\s*#.*$/gm, '');

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version.split('.').map(Number), than.split('.').map(Number)];
  for (let i = 0; i < 3; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}

test.each(FILES)('%s uses nothing that came after Nginx 1.18', (file) => {
  // Entries of a map block read as directives too: they begin with a value.
  const names = directives(readDocument(file))
    .map(([name]) => name!)
    .filter((name) => /^[a-z]/.test(name) && name !== 'default' && name !== 'on');
  const unknown = names.filter((name) => SINCE[name] === undefined);
  expect(unknown).toEqual([]);
  expect(names.filter((name) => SINCE[name] !== '' && !isOlder(SINCE[name]!, OLDEST))).toEqual([]);

  const own = FILES.flatMap((f) =>
    [...readDocument(f).matchAll(/^map (?:"[^"]*"|\S+) \$(\w+)/gm)].map((m) => m[1]!),
  );
  const used = [...code(file).matchAll(/\$([a-z_0-9]+)/g)]
    .map((m) => m[1]!)
    .filter((name) => !/^(http|upstream_http|arg)_/.test(name) && !own.includes(name));
  expect(used.filter((name) => VARIABLES[name] === undefined)).toEqual([]);

  expect(FORBIDDEN.filter(([what]) => what.test(code(file)))).toEqual([]);
});

test('the check sees what is too new', () => {
  const names = directives("server { http2 on; a 'b;{' c; } # x;\n").map((words) => words.join(' '));
  expect(names).toEqual(['server', 'http2 on', "a 'b;{' c"]);
  expect(SINCE['http2']).toBeUndefined();
  expect(FORBIDDEN.some(([what]) => what.test('  http2 on;'))).toBe(true);
});

test('every file that is included is shipped', () => {
  const included = FILES.flatMap((file) => directives(readDocument(file)))
    .filter(([name]) => name === 'include')
    .map(([, path]) => `nginx/${path}`);
  expect(included.length).toBeGreaterThan(10);
  expect(included.filter((path) => !FILES.includes(path))).toEqual([]);
});

test('Nginx changes nothing that a signature covers on its way to the gateway', () => {
  for (const file of FILES) {
    const all = directives(readDocument(file));
    const passes = all.filter(([name]) => name === 'proxy_pass').map(([, target]) => target!);
    // A URI part would be put in the place of the path.
    for (const target of passes) expect(target).toMatch(/^http:\/\/(registry|gateway_s3|gateway_web)$/);
    expect(all.filter(([name]) => name === 'rewrite')).toEqual([]);
    const hosts = all.filter(([name, header]) => name === 'proxy_set_header' && header === 'Host');
    for (const [, , value] of hosts) expect(value).toBe('$http_host');
  }
  for (const file of ['nginx/s3.conf', 'nginx/s3-public.conf']) {
    expect(readDocument(file)).toContain('include snippets/s3-gateway.conf;');
  }
});

test('uploads are neither limited nor buffered, and downloads never go to temporary files', () => {
  const streaming = readDocument('nginx/snippets/streaming.conf');
  for (const line of [
    'client_max_body_size 0',
    'proxy_request_buffering off',
    'proxy_max_temp_file_size 0',
  ]) {
    expect(directives(streaming).map((words) => words.join(' '))).toContain(line);
  }
  for (const file of ['nginx/registry.conf', 'nginx/snippets/s3-gateway.conf']) {
    expect(readDocument(file)).toContain('include snippets/streaming.conf;');
  }
});

test('a location with headers of its own says those of every answer again', () => {
  // Nginx drops inherited add_header lines where one stands.
  const text = readDocument('nginx/registry.conf');
  const blocks = text.split(/^ {4}location /m).slice(1);
  const own = blocks.filter((block) => /^\s*add_header/m.test(block));
  expect(own.length).toBeGreaterThan(2);
  for (const block of own) expect(block).toContain('include snippets/registry-headers.conf;');
});

test('where the gateway cannot be asked, clients read what it says when it knows of nothing in particular', () => {
  const conditions = {
    ...{ isStopping: false, buckets: [], nowMs: 0 },
    line: { isDown: false, uses: [], sinceMs: undefined },
  };
  const texts = [...readDocument('nginx/http.conf').matchAll(/^ {4}\S.* '([^']*\p{Script=Han}[^']*)';$/gmu)];
  expect(texts.map(([, sentence]) => sentence)).toEqual(
    (['read', 'layer', 'tag'] as const).map((task) => registryFailure(task, conditions).message),
  );
});

test('both lists of upstreams name the same ones, with the same options', () => {
  const shape = (file: string) =>
    directives(readDocument(file)).map((words) =>
      words.map((word) => word.replace(/^(127\.0\.0\.1|registry|gateway):/, 'HOST:')).join(' '),
    );
  expect(shape('deploy/nginx-upstreams.conf')).toEqual(shape('nginx/upstreams.conf'));
});

// ---- registry-config/

const VARIANTS = ['config.yml', 'config.htpasswd.yml', 'config.token.yml'] as const;
type Tree = { [key: string]: unknown };
const variant = (name: string) => parse(readDocument(`registry-config/${name}`)) as Tree;

test('the variants of the registry differ in auth alone', () => {
  const { auth: none, ...base } = variant('config.yml');
  expect(none).toBeUndefined();
  for (const name of ['htpasswd', 'token']) {
    const { auth, ...rest } = variant(`config.${name}.yml`);
    expect(rest).toEqual(base);
    expect(Object.keys(auth as Tree)).toEqual([name]);
  }
});

/**
 * The keys of registry 2.7.1 on the paths that we use (its configuration/configuration.go and the parameters of
 * s3-aws/s3.go). A key that it does not know is ignored without a word, which is why they are checked here.
 */
const KEYS_2_7_1: Readonly<Record<string, readonly string[]>> = {
  '': [
    'version',
    'log',
    'loglevel',
    'storage',
    'auth',
    'middleware',
    'reporting',
    'http',
    'notifications',
    'redis',
    'health',
    'proxy',
    'compatibility',
    'validation',
    'policy',
  ],
  log: ['accesslog', 'level', 'formatter', 'fields', 'hooks'],
  'log.accesslog': ['disabled'],
  'log.fields': ['service'],
  storage: ['s3', 'delete', 'redirect', 'cache', 'maintenance'],
  'storage.s3': [
    'accesskey',
    'secretkey',
    'region',
    'regionendpoint',
    'bucket',
    'encrypt',
    'keyid',
    'secure',
    'skipverify',
    'v4auth',
    'chunksize',
    'multipartcopychunksize',
    'multipartcopymaxconcurrency',
    'multipartcopythresholdsize',
    'rootdirectory',
    'storageclass',
    'useragent',
    'objectacl',
    'sessiontoken',
  ],
  'storage.delete': ['enabled'],
  'storage.redirect': ['disable'],
  'storage.cache': ['blobdescriptor', 'layerinfo'],
  'storage.maintenance': ['uploadpurging', 'readonly'],
  'storage.maintenance.uploadpurging': ['enabled', 'age', 'interval', 'dryrun'],
  auth: ['silly', 'token', 'htpasswd'],
  'auth.htpasswd': ['realm', 'path'],
  'auth.token': ['realm', 'service', 'issuer', 'rootcertbundle', 'autoredirect'],
  http: [
    'addr',
    'net',
    'host',
    'prefix',
    'secret',
    'relativeurls',
    'draintimeout',
    'tls',
    'headers',
    'debug',
    'http2',
  ],
  'http.headers': ['X-Content-Type-Options'],
  'http.debug': ['addr', 'prometheus'],
  'http.debug.prometheus': ['enabled', 'path'],
  notifications: ['events', 'endpoints'],
  'notifications.endpoints': [
    'name',
    'disabled',
    'url',
    'headers',
    'timeout',
    'threshold',
    'backoff',
    'ignoredmediatypes',
    'ignore',
  ],
  'notifications.endpoints.ignore': ['mediatypes', 'actions'],
  health: ['file', 'http', 'tcp', 'storagedriver'],
  'health.storagedriver': ['enabled', 'interval', 'threshold'],
};
/** Known to 3.x alone, and harmless before. */
const LATER = ['storage.s3.forcepathstyle'];

function unknownKeys(tree: Tree, path = ''): string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const here = path ? `${path}.${key}` : key;
    if (LATER.includes(here)) return [];
    if (!KEYS_2_7_1[path]?.includes(key)) return [here];
    const below = (Array.isArray(value) ? (value as unknown[]) : [value]).filter(
      (item): item is Tree => typeof item === 'object' && item !== null,
    );
    return below.flatMap((item) => unknownKeys(item, here));
  });
}

test.each(VARIANTS)('registry 2.7.1 knows every key of %s', (name) => {
  expect(unknownKeys(variant(name))).toEqual([]);
});

test('the check of keys finds one that 2.7.1 does not know', () => {
  expect(unknownKeys({ catalog: { maxentries: 5 }, http: { debug: { address: 'x' } } })).toEqual([
    'catalog',
    'http.debug.address',
  ]);
});

test.each(VARIANTS)('no secret stands in %s', (name) => {
  const { http, storage, notifications } = variant(name) as Record<string, Tree>;
  expect(http).not.toHaveProperty('secret');
  expect(storage!['s3']).not.toHaveProperty('accesskey');
  expect(storage!['s3']).not.toHaveProperty('secretkey');
  expect(JSON.stringify(notifications)).not.toContain('Authorization');
});
