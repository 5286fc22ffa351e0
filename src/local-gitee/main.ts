/**
 * Local Gitee: a Gitee-compatible server (git over HTTPS, Git LFS, API v5, OAuth, webhooks) for trying out
 * and for tests. A program of its own: it shares no code with the gateway.
 */
import { parseArgs } from 'node:util';
import { readConfig } from './config.js';
import { startServer } from './server.js';

const USAGE = `usage: local-gitee --data DIR [options]

  --data DIR             where repositories and LFS objects lie   LOCAL_GITEE_DATA
  --config FILE.json     accounts and repositories to begin with  LOCAL_GITEE_CONFIG
  --host ADDRESS         127.0.0.1                                LOCAL_GITEE_HOST
  --port N               9300, web, git, API; 0: any              LOCAL_GITEE_PORT
  --lfs-port N           9301, LFS data; 0: any                   LOCAL_GITEE_LFS_PORT
  --public-url URL       how clients reach the port               LOCAL_GITEE_PUBLIC_URL
  --lfs-public-url URL   how clients reach the LFS port           LOCAL_GITEE_LFS_PUBLIC_URL
  --exit-with-parent     end when standard input is closed

The token of the admin API is read from LOCAL_GITEE_ADMIN_TOKEN, never from the command line.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      config: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      'lfs-port': { type: 'string' },
      'public-url': { type: 'string' },
      'lfs-public-url': { type: 'string' },
      'exit-with-parent': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const { env } = process;
  const dataDir = values.data ?? env['LOCAL_GITEE_DATA'];
  if (dataDir === undefined) throw new Error(`--data is needed\n\n${USAGE}`);
  const server = await startServer({
    dataDir,
    host: values.host ?? env['LOCAL_GITEE_HOST'] ?? '127.0.0.1',
    port: port(values.port ?? env['LOCAL_GITEE_PORT'], 9300),
    lfsPort: port(values['lfs-port'] ?? env['LOCAL_GITEE_LFS_PORT'], 9301),
    publicUrl: values['public-url'] ?? env['LOCAL_GITEE_PUBLIC_URL'],
    lfsPublicUrl: values['lfs-public-url'] ?? env['LOCAL_GITEE_LFS_PUBLIC_URL'],
    adminToken: env['LOCAL_GITEE_ADMIN_TOKEN'],
    config: await readConfig(values.config ?? env['LOCAL_GITEE_CONFIG']),
    onError: report,
  });
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        report(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (values['exit-with-parent']) {
    process.stdin.resume();
    process.stdin.on('end', stop);
    process.stdin.on('close', stop);
    process.stdin.on('error', stop);
    process.stdout.on('error', stop);
  }
  process.stdout.write(`${JSON.stringify({ event: 'listening', url: server.url, lfsUrl: server.lfsUrl })}\n`);
}

function port(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new Error(`not a port: ${text}`);
  return value;
}

function report(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${JSON.stringify({ event: 'error', error: text })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
