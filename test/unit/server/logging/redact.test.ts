import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { createLog } from '../../../../src/server/logging/logger.js';
import { Redactor } from '../../../../src/server/logging/redact.js';

const SECRET = 'f3a9/secret+value=0042';

test('a registered secret is masked in every form it travels in', () => {
  const redactor = new Redactor();
  redactor.register(SECRET);
  const forms = [
    SECRET,
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString('base64'),
    Buffer.from(`oauth2:${SECRET}`).toString('base64'),
    Buffer.from(`a:${SECRET}:b`).toString('base64url'),
    Buffer.from(SECRET).toString('hex'),
  ];
  for (const form of forms) {
    const masked = redactor.mask(`before ${form} after`);
    expect(masked).toContain('***');
    expect(masked).not.toContain(form);
  }
});

test('base64 of a secret at any alignment leaves no long piece of it', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 12, maxLength: 40 }),
      fc.string({ maxLength: 8 }),
      (secret, before) => {
        const redactor = new Redactor();
        redactor.register(secret);
        const encoded = Buffer.from(`${before}${secret}tail`).toString('base64');
        const rest = redactor.mask(encoded).replaceAll('***', ' ');
        const readable = rest
          .split(' ')
          .map((piece) => Buffer.from(piece, 'base64').toString('utf8'))
          .join(' ');
        expect(readable).not.toContain(secret);
        expect(rest.length).toBeLessThan(encoded.length);
      },
    ),
  );
});

test('credentials that nobody registered are masked by their place', () => {
  const redactor = new Redactor();
  expect(redactor.mask('Authorization: Bearer abcdefgh12345')).not.toContain('abcdefgh');
  expect(redactor.mask('https://bot:pass-word@gitee.com/a.git')).toBe('https://bot:***@gitee.com/a.git');
  expect(redactor.mask('/x?a=1&X-Amz-Signature=0123abcd&b=2')).toBe('/x?a=1&X-Amz-Signature=***&b=2');
});

test('the old value of a rotated secret stays masked, short texts are no secrets', () => {
  const redactor = new Redactor();
  redactor.register('first-value');
  redactor.register('second-value');
  redactor.register('a');
  expect(redactor.mask('first-value second-value banana')).toBe('*** *** banana');
});

function logged(level: 'info' | 'debug', write: (log: ReturnType<typeof createLog>) => void): string[] {
  const redactor = new Redactor();
  redactor.register(SECRET);
  const stream = new PassThrough();
  write(createLog(level, redactor, stream));
  return String(stream.read() ?? '')
    .split('\n')
    .filter((line) => line !== '');
}

test('a log line is one JSON object with the fields of its parents', () => {
  const lines = logged('info', (log) => {
    const child = log.child({ requestId: 'r1' }).child({ bucket: 'b' });
    child.info('stored', { sizeBytes: 3 });
    child.debug('not shown');
  });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'info',
    message: 'stored',
    requestId: 'r1',
    bucket: 'b',
    sizeBytes: 3,
  });
});

test('errors are logged with code and cause, and no secret in any of it', () => {
  const [line] = logged('info', (log) => {
    const error = Object.assign(new Error(`push to ${SECRET}`, { cause: new Error(`inner ${SECRET}`) }), {
      code: 'unauthorized',
    });
    log.error('failed', { error, headers: { authorization: 'x', list: [SECRET] }, [SECRET]: 1 });
  });
  expect(line).not.toContain(SECRET);
  expect(JSON.parse(line!)).toMatchObject({
    error: { message: 'push to ***', code: 'unauthorized', cause: { message: 'inner ***' } },
    headers: { authorization: '***', list: ['***'] },
  });
});

test('fields that point at each other end', () => {
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  expect(logged('info', (log) => log.info('loop', { loop, big: 2n }))).toHaveLength(1);
});

test('a line that the level leaves out is not made', () => {
  const stream = new PassThrough();
  const log = createLog('info', new Redactor(), stream).child({ of: 'a child' });
  let reads = 0;
  const fields = {
    get field() {
      reads += 1;
      return 'text';
    },
  };
  log.debug('not wanted', fields);
  expect(reads).toBe(0);
  log.info('wanted', fields);
  expect(reads).toBeGreaterThan(0);
  expect(stream.read()?.toString()).toMatch(/"message":"wanted".*"field":"text"/);
});

test('the shortest texts that hold a secret are masked', () => {
  const redactor = new Redactor();
  redactor.register('123456');
  const short = [
    '123456',
    'token 12345678',
    '?code=x',
    '%3Fcode%3Dx',
    '://:x@',
    `Signature=${'a'.repeat(16)}`,
  ];
  expect(short.map((text) => redactor.mask(text))).toEqual([
    '***',
    'token ***78',
    '?code=***',
    '%3Fcode%3D***',
    '://:***@',
    'Signature=***',
  ]);
  expect(redactor.mask('token abcdefgh')).toBe('token ***');
});
