import { randomBytes } from 'node:crypto';
import * as path from 'node:path';
import { writeFile } from 'node:fs/promises';
import { mustRun } from './child.js';

export interface AuthFiles {
  readonly keyFile: string;
  readonly certificateFile: string;
  /** Switches the token service on; deep-merged over a gateway's configuration. */
  readonly config: Record<string, unknown>;
}

/** Makes a key on P-256 and its certificate, as deploy/setup.sh does. */
export async function makeAuthFiles(
  directory: string,
  auth: Record<string, unknown> = {},
): Promise<AuthFiles> {
  const [keyFile, certificateFile] = [path.join(directory, 'token.key'), path.join(directory, 'token.crt')];
  await mustRun('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-subj', '/CN=gitee-s3 token service', '-days', '365', '-keyout', keyFile, '-out', certificateFile],
  ]);
  const encryptionKeyFile = path.join(directory, 'encryption-key');
  await writeFile(encryptionKeyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return {
    keyFile,
    certificateFile,
    config: {
      web: { host: '127.0.0.1', port: 0 },
      auth: {
        enabled: true,
        key_file: keyFile,
        certificate_file: certificateFile,
        encryption_key_file: encryptionKeyFile,
        ...auth,
      },
    },
  };
}
