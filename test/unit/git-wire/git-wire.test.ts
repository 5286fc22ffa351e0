/** The wire's formats against their specification, byte by byte and in pieces; git itself judges them in test/integration. */
import { createHash } from 'node:crypto';
import { LsRefsAnswer, lsRefsRequest } from '../../../src/git-wire/ls-refs.js';
import { FLUSH, NotGitError, packet, PacketParser, type Packet } from '../../../src/git-wire/pkt-line.js';
import { PushAnswer, updateRequest, ZERO_ID } from '../../../src/git-wire/receive-pack.js';
import { crcOf, entryHeader, packHeader, packIndex } from '../../../src/git-wire/pack-format.js';

const id = (digit: string) => digit.repeat(40);
const band = (n: number, bytes: Buffer | string) => {
  const data = Buffer.concat([Buffer.of(n), Buffer.from(bytes)]);
  return Buffer.concat([Buffer.from((data.length + 4).toString(16).padStart(4, '0')), data]);
};

describe('pkt-lines', () => {
  test('are taken apart however they arrive', () => {
    const stream = Buffer.concat([
      packet('one\n'),
      FLUSH,
      packet(''),
      Buffer.from('0001'),
      packet('x'.repeat(300)),
      FLUSH,
    ]);
    for (const size of [1, 2, 3, 5, 64, stream.length]) {
      const parser = new PacketParser();
      const seen: Packet[] = [];
      for (let at = 0; at < stream.length; at += size)
        seen.push(...parser.push(stream.subarray(at, at + size)));
      expect(seen.map((item) => (item.kind === 'data' ? item.data.toString() : item.kind))).toEqual([
        'one\n',
        'flush',
        '',
        'delimiter',
        'x'.repeat(300),
        'flush',
      ]);
    }
  });

  test.each(['<html>', '0003', 'zzzz'])('that are none are an error: %s', (text) => {
    expect(() => [...new PacketParser().push(Buffer.from(text))]).toThrow(NotGitError);
  });
});

describe('ls-refs', () => {
  test('asks for one branch', () => {
    expect(lsRefsRequest('refs/heads/main', 'a', { namesFormat: false }).toString()).toBe(
      '0014command=ls-refs\n000bagent=a0001001fref-prefix refs/heads/main\n0000',
    );
    expect(lsRefsRequest('refs/heads/main', 'a', { namesFormat: true }).toString()).toBe(
      '0014command=ls-refs\n000bagent=a0016object-format=sha10001001fref-prefix refs/heads/main\n0000',
    );
  });

  const read = (...parts: Buffer[]) => {
    const answer = new LsRefsAnswer(new PacketParser(), (ref) => ref !== 'refs/heads/main-2');
    for (const part of parts) answer.push(part);
    return answer;
  };

  test('tells references, and none, and tells an end from a cut', () => {
    const line = packet(`${id('a')} refs/heads/main symref-target:refs/heads/x\n`);
    expect(read(line, FLUSH).refs.get('refs/heads/main')).toBe(id('a'));
    // The prefix fits others too, of which there may be any number.
    expect(read(line, packet(`${id('b')} refs/heads/main-2\n`), FLUSH).refs.size).toBe(1);
    expect(read(line, FLUSH).isWhole).toBe(true);
    expect(read(FLUSH).refs.size).toBe(0);
    expect(read(line).isWhole).toBe(false);
    expect(read().isWhole).toBe(false);
  });

  test('keeps the server’s error', () => {
    expect(read(packet('ERR upload-pack: not our ref'), FLUSH).error).toBe('upload-pack: not our ref');
    expect(() => read(packet('NAK\n'), FLUSH)).toThrow(NotGitError);
  });
});

describe('a push', () => {
  test('begins with one command', () => {
    const text = updateRequest({ ref: 'refs/heads/main', oldId: ZERO_ID, newId: id('1') }, 'a').toString(
      'latin1',
    );
    expect(text).toBe(
      `0098${ZERO_ID} ${id('1')} refs/heads/main\0 report-status side-band-64k object-format=sha1 agent=a0000`.replace(
        /^..../,
        (text.length - 4).toString(16).padStart(4, '0'),
      ),
    );
  });

  const report = Buffer.concat([
    packet('unpack ok\n'),
    packet('ng refs/heads/main failed to update ref\n'),
    FLUSH,
  ]);
  const read = (stream: Buffer, size: number) => {
    const answer = new PushAnswer();
    for (let at = 0; at < stream.length; at += size) answer.push(stream.subarray(at, at + size));
    return answer;
  };

  test('is reported in a side-band, its packets cut anywhere, the hook’s words beside it', () => {
    const stream = Buffer.concat([
      band(2, 'Powered by'),
      band(2, ' GITEE\nerror: no\n'),
      band(1, report.subarray(0, 7)),
      band(2, ''),
      band(1, report.subarray(7)),
      FLUSH,
    ]);
    for (const size of [1, 3, 50, stream.length]) {
      const answer = read(stream, size);
      expect(answer.unpack).toBe('ok');
      expect(answer.of('refs/heads/main')).toEqual({ accepted: false, reason: 'failed to update ref' });
      expect(answer.of('refs/heads/other')).toBeUndefined();
      expect(answer.words).toBe('remote: Powered by GITEE\nremote: error: no');
    }
  });

  test('is decided by the end of its report, whatever the server says behind it', () => {
    const ok = Buffer.concat([packet('unpack ok\n'), packet('ok refs/heads/main\n'), FLUSH]);
    const answer = new PushAnswer();
    answer.push(band(2, 'Powered by GITEE\n'));
    answer.push(band(1, ok.subarray(0, -1)));
    expect(answer.isWhole).toBe(false);
    answer.push(band(1, ok.subarray(-1)));
    expect(answer.isWhole).toBe(true);
    answer.push(band(2, 'Auto packing the repository\n'));
    answer.push(FLUSH);
    expect(answer.of('refs/heads/main')).toEqual({ accepted: true, reason: '' });

    const bare = new PushAnswer();
    bare.push(ok.subarray(0, -4));
    expect(bare.isWhole).toBe(false);
    bare.push(FLUSH);
    expect(bare.isWhole).toBe(true);
    const empty = new PushAnswer();
    empty.push(FLUSH);
    expect(empty.isWhole).toBe(false);
  });

  test('is reported without a side-band by a server that has none', () => {
    const answer = read(Buffer.concat([packet('unpack ok\n'), packet('ok refs/heads/main\n'), FLUSH]), 10);
    expect(answer.of('refs/heads/main')).toEqual({ accepted: true, reason: '' });
  });

  test('that the server gives up says why, and is no report', () => {
    const answer = read(Buffer.concat([band(3, 'out of memory'), FLUSH]), 5);
    expect(answer.of('refs/heads/main')).toBeUndefined();
    expect(answer.words).toBe('fatal: remote error: out of memory');
    expect(() => read(Buffer.from('<!DOCTYPE html>'), 4)).toThrow(NotGitError);
    expect(() => read(packet('hello'), 100)).toThrow(NotGitError);
  });
});

describe('a pack', () => {
  test('names types and sizes as git does', () => {
    expect(entryHeader('blob', 5)).toEqual(Buffer.of(0x35));
    expect(entryHeader('tree', 16)).toEqual(Buffer.of(0xa0, 0x01));
    expect(entryHeader('commit', 1 << 20)).toEqual(Buffer.of(0x90, 0x80, 0x80, 0x04));
    expect(entryHeader('ref-delta', 0)).toEqual(Buffer.of(0x70));
    expect(packHeader(258).toString('hex')).toBe('5041434b0000000200000102');
  });

  test('has an index in order of ids with its sum', () => {
    const sum = Buffer.alloc(20, 9);
    const index = packIndex(
      new Map([
        ['f'.repeat(40), { offsetBytes: 12, crc32: 1 }],
        ['0'.repeat(40), { offsetBytes: 99, crc32: 2 }],
      ]),
      sum,
    );
    expect(index.length).toBe(8 + 1024 + 2 * 28 + 40);
    expect(index.readUInt32BE(8)).toBe(1);
    expect(index.readUInt32BE(8 + 255 * 4)).toBe(2);
    expect(index.readUInt32BE(8 + 1024 + 40)).toBe(2);
    expect(index.subarray(-40, -20)).toEqual(sum);
    expect(index.subarray(-20)).toEqual(createHash('sha1').update(index.subarray(0, -20)).digest());
    expect(() => packIndex(new Map([[id('a'), { offsetBytes: 2 ** 31, crc32: 0 }]]), sum)).toThrow('2 GiB');
  });

  test('sums an entry in pieces as a whole', () => {
    expect(crcOf([Buffer.from('123'), Buffer.from('456789')])).toBe(0xcbf43926);
  });
});
