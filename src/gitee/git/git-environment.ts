/**
 * The environment in which git runs: nothing of the user's or the system's configuration, no prompt, English
 * messages, and secrets neither in argv nor in the remote's URL (invariant 7).
 */

export type ConfigEntry = readonly [key: string, value: string];

/** Passed on to git: where programs and certificates are, and how to get out to the network. */
const INHERITED = [
  'PATH',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'GIT_EXEC_PATH',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'ALL_PROXY',
  'no_proxy',
  'NO_PROXY',
];

/** Settings that hold for every git that we run. */
const ALWAYS: readonly ConfigEntry[] = [
  // Maintenance is ours to start (maintenance.ts): an automatic one would run beside a push.
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  // What is fetched stays a pack: loose objects are slow to pack and slow to look through.
  ['fetch.unpackLimit', '1'],
  // Objects go once over the line: the time of the push counts, not the last percent.
  ['core.compression', '1'],
  // The local repository is a cache; what a power cut leaves is thrown away, not repaired.
  ['core.fsync', 'none'],
  ['core.logAllRefUpdates', 'false'],
  ['core.hooksPath', '/dev/null'],
  ['core.quotePath', 'false'],
  ['i18n.logOutputEncoding', 'UTF-8'],
  // A redirect to another host must not get the token, and curl decides about that differently by version.
  ['http.followRedirects', 'false'],
  ['protocol.allow', 'never'],
  ['protocol.https.allow', 'always'],
  ['protocol.http.allow', 'always'],
  ['protocol.file.allow', 'always'],
];

/** The environment of a git process on this bare repository. */
export function gitEnvironment(
  directory: string,
  config: readonly ConfigEntry[],
  from: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = from[name];
    if (value !== undefined) env[name] = value;
  }
  Object.assign(env, {
    LC_ALL: 'C',
    HOME: directory,
    GIT_DIR: directory,
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    // Paths are names, never patterns.
    GIT_LITERAL_PATHSPECS: '1',
  });
  const entries = [...ALWAYS, ...config];
  env['GIT_CONFIG_COUNT'] = String(entries.length);
  entries.forEach(([key, value], i) => {
    env[`GIT_CONFIG_KEY_${i}`] = key;
    env[`GIT_CONFIG_VALUE_${i}`] = value;
  });
  return env;
}

/**
 * The login as configuration for one server only: `http.<origin>/.extraHeader`, as gitee-cli sets it
 * (docs/facts/gitee.md §3). None where there is no token.
 */
export function loginConfig(url: string, user: string, token: string): ConfigEntry[] {
  if (token === '' || !/^https?:/.test(url)) return [];
  const basic = Buffer.from(`${user}:${token}`, 'utf8').toString('base64');
  return [[`http.${new URL(url).origin}/.extraHeader`, `Authorization: Basic ${basic}`]];
}

/** The text without the token, in clear or as the header carries it. */
export function withoutSecret(text: string, user: string, token: string): string {
  const basic = Buffer.from(`${user}:${token}`, 'utf8').toString('base64');
  const masked = token === '' ? text : text.replaceAll(basic, '***').replaceAll(token, '***');
  return masked.replace(/(https?:\/\/)[^\s/@]+@/g, '$1***@');
}
