import { parseEncryptionKey } from '../../../src/auth/accounts/encryption-key.js';
import { Sealer } from '../../../src/auth/sealer.js';

const sealer = new Sealer(new Uint8Array(32).fill(1));

test('what is sealed opens with the same key and context, and looks different each time', () => {
  const sealed = sealer.seal('令牌 token', 'session 1');
  expect(sealer.open(sealed, 'session 1')).toBe('令牌 token');
  expect(sealer.seal('令牌 token', 'session 1')).not.toBe(sealed);
  expect(sealed).not.toContain('token');
});

test('another key, another context, and any changed character open to nothing', () => {
  const sealed = sealer.seal('token', 'session 1');
  expect(new Sealer(new Uint8Array(32).fill(2)).open(sealed, 'session 1')).toBeUndefined();
  expect(sealer.open(sealed, 'session 2')).toBeUndefined();
  for (let i = 0; i < sealed.length - 1; i += 1) {
    const changed = sealed.slice(0, i) + (sealed[i] === 'A' ? 'B' : 'A') + sealed.slice(i + 1);
    expect([i, sealer.open(changed, 'session 1')]).toEqual([i, undefined]);
  }
  for (const nonsense of ['', 'v1.', 'v1.AAAA', 'token']) expect(sealer.open(nonsense, '')).toBeUndefined();
});

test('a key has 32 bytes, written in hexadecimal or base64', () => {
  expect(() => new Sealer(new Uint8Array(16))).toThrow(/32 bytes/);
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7));
  expect(parseEncryptionKey(key.toString('hex'))).toEqual(key);
  expect(parseEncryptionKey(key.toString('base64'))).toEqual(key);
  for (const wrong of ['', 'short', key.toString('hex').slice(2), `${key.toString('base64')}AA`])
    expect(parseEncryptionKey(wrong)).toBeUndefined();
});
