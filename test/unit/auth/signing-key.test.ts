import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { libtrustKeyId, SigningKey, SigningKeyError } from '../../../src/auth/token/signing-key.js';
import { RegistryTokens } from '../../../src/auth/token/registry-token.js';
import { mustRun } from '../../support/child.js';
import { libtrustId, verifyAsRegistry } from '../../support/token-bench.js';

const KEYS = {
  p256: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  other: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  p384: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  rsa: ['-newkey', 'rsa:2048'],
  weak: ['-newkey', 'rsa:1024'],
  ed25519: ['-newkey', 'ed25519'],
};
type Name = keyof typeof KEYS;

let directory: string;
const pems = {} as Record<Name, { key: string; certificate: string }>;
let nowMs: number;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'signing-'));
  for (const [name, args] of Object.entries(KEYS) as [Name, string[]][]) {
    const [key, certificate] = [path.join(directory, `${name}.key`), path.join(directory, `${name}.crt`)];
    await mustRun('openssl', [
      ...['req', '-x509', ...args, '-nodes', '-subj', `/CN=${name}`, '-days', '30'],
      ...['-keyout', key, '-out', certificate],
    ]);
    pems[name] = { key: await readFile(key, 'utf8'), certificate: await readFile(certificate, 'utf8') };
  }
  nowMs = Date.now();
});
afterAll(() => rm(directory, { recursive: true }));

const tokens = (name: Name) =>
  new RegistryTokens({
    key: SigningKey.read(pems[name].key, pems[name].certificate, nowMs),
    ...{ issuer: 'gitee-s3', service: 'registry', ttlPullMs: 600_000, ttlPushMs: 3600_000 },
    clock: { nowMs: () => nowMs, steadyMs: () => 0, sleep: () => Promise.resolve() },
  });

function mistake(key: string, certificate: string, atMs = nowMs): string {
  try {
    SigningKey.read(key, certificate, atMs);
  } catch (error) {
    if (error instanceof SigningKeyError) return `${error.option} ${error.message}`;
    throw error;
  }
  return 'none';
}

describe('a token', () => {
  test.each(['p256', 'rsa'] as const)('of a %s key is one that the registry takes', (name) => {
    const access = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }];
    const { token } = tokens(name).issue('ann', access);
    const certificate = new X509Certificate(pems[name].certificate);
    const claims = verifyAsRegistry(token, certificate, nowMs);
    expect(claims).toMatchObject({ sub: 'ann', access });
    expect(claims['jti']).not.toBe(
      verifyAsRegistry(tokens(name).issue('ann', access).token, certificate, nowMs)['jti'],
    );
    expect((claims['exp'] as number) - (claims['iat'] as number)).toBe(3600);
    const header = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as {
      kid: string;
    };
    expect(header.kid).toBe(libtrustId(certificate.publicKey));
    expect(header.kid).toMatch(/^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$/);
    expect(libtrustKeyId(certificate.publicKey)).toBe(header.kid);
  });

  test('does not pass for another issuer, service, key, or after its time', () => {
    const { token } = tokens('p256').issue('ann', []);
    const certificate = new X509Certificate(pems.p256.certificate);
    const expected = { issuer: 'gitee-s3', audience: 'registry' };
    for (const [broken, wrong] of [
      ['wrong issuer', () => verifyAsRegistry(token, certificate, nowMs, { ...expected, issuer: 'x' })],
      ['aud', () => verifyAsRegistry(token, certificate, nowMs, { ...expected, audience: 'x' })],
      ['chain', () => verifyAsRegistry(token, new X509Certificate(pems.other.certificate), nowMs)],
      ['expired', () => verifyAsRegistry(token, certificate, nowMs + 661_000)],
      ['wrong signature', () => verifyAsRegistry(token.slice(0, -8) + 'AAAAAAAA', certificate, nowMs)],
    ] as const)
      expect(wrong).toThrow(broken);
  });
});

describe('a key is refused by the name of its option', () => {
  test.each([
    ['p256', 'other', /^certificate_file is the certificate of another key/],
    ['p384', 'p384', /^key_file must have a key on the curve P-256.*secp384r1/],
    ['weak', 'weak', /^key_file .*not RSA of 1024 bits/],
    ['ed25519', 'ed25519', /^key_file .*not ed25519, which makes registry 2\.x end at start/],
    ['p256', 'ed25519', /^certificate_file .*not ed25519/],
  ] as const)('%s with the certificate of %s', (key, certificate, told) => {
    expect(mistake(pems[key].key, pems[certificate].certificate)).toMatch(told);
  });

  test('that is no PEM, or a certificate that is over or not yet', () => {
    const { key, certificate } = pems.p256;
    expect(mistake('nonsense', certificate)).toMatch(/^key_file must be a PEM file/);
    expect(mistake(key, 'nonsense')).toMatch(/^certificate_file must be a PEM file/);
    expect(mistake(key, certificate, nowMs + 31 * 86_400_000)).toMatch(/^certificate_file has expired/);
    expect(mistake(key, certificate, nowMs - 86_400_000)).toMatch(/clock of this machine/);
  });
});
