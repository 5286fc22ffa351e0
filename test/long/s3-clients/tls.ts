import { appendFile, cp, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { mustRun } from '../../support/child.js';
import { makeCertificate, TestNginx } from '../../support/nginx.js';
import { HOST } from './place.js';

/** What most programs trust. */
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/** The shipped Nginx before the gateway, on port 443; programs of this mount namespace trust its certificate. */
export async function startTls(directory: string, version: 'HTTP/1.1' | 'HTTP/2'): Promise<TestNginx> {
  const listen = version === 'HTTP/2' ? 'ssl http2;' : 'ssl;';
  const nginx = await TestNginx.prepare({
    directory,
    // Buckets as host names, too.
    s3Name: `${HOST} *.${HOST}`,
    gatewayS3: '127.0.0.1:80',
    edits: [['ssl http2;', `${listen}\n    listen 127.0.0.1:443 ${listen}`]],
  });
  await makeCertificate(nginx.tlsDirectory, 'registry', [`DNS:${HOST}`, `DNS:*.${HOST}`]);
  const trusted = path.join(directory, 'authorities');
  await cp(AUTHORITIES, trusted);
  await appendFile(trusted, await readFile(nginx.certificateFile));
  await mustRun('mount', ['--bind', trusted, AUTHORITIES]);
  await nginx.start();
  return nginx;
}
