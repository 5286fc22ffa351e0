/** The client's address, as Express has it for every other listener. */
import type { IncomingMessage } from 'node:http';
import express from 'express';
import fc from 'fast-check';
import { clientAddress, trustedProxies, trustedRequestId } from '../../../src/s3/trusted-proxies.js';
import { rounds } from '../../support/rounds.js';

const ADDRESSES = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', '10.0.0.2', '203.0.113.9', 'fe80::1'];
const address = fc.constantFrom(...ADDRESSES);
const told = fc.oneof(address, fc.constantFrom('', 'unknown', '10.0.0.1:80', '300.1.1.1', '_hidden'));
const separator = fc.constantFrom(',', ', ', ' , ', ',,');
const forwarded = fc.option(
  fc
    .array(fc.tuple(told, separator), { maxLength: 5 })
    .map((parts) => parts.map(([of, comma]) => of + comma).join('')),
  { nil: undefined },
);
const proxies = fc.uniqueArray(fc.constantFrom('loopback', '10.0.0.0/8', '203.0.113.9', 'linklocal'));

const request = (remoteAddress: string | undefined, headers: Record<string, string>) =>
  ({ socket: { remoteAddress }, headers }) as unknown as IncomingMessage;

/** `ip` of a request in an Express application that trusts these. */
function ipOfExpress(of: IncomingMessage, trusted: readonly string[]): string | undefined {
  const app = express();
  app.set('trust proxy', [...trusted]);
  const { get } = Object.getOwnPropertyDescriptor(express.request, 'ip')!;
  return get!.call({ ...of, app }) as string | undefined;
}

test('the address of the client is the one that Express would name, whatever is told', () => {
  fc.assert(
    fc.property(fc.option(address, { nil: undefined }), forwarded, proxies, (remote, header, trusted) => {
      const asked = request(remote, header === undefined ? {} : { 'x-forwarded-for': header });
      expect(clientAddress(asked, trustedProxies(trusted))).toBe(ipOfExpress(asked, trusted));
    }),
    { numRuns: rounds(2000) },
  );
});

test('what a client says before the first proxy that is not trusted is not believed', () => {
  const asked = request('10.0.0.1', { 'x-forwarded-for': '127.0.0.1, 203.0.113.9, 10.0.0.2' });
  expect(clientAddress(asked, trustedProxies(['10.0.0.0/8']))).toBe('203.0.113.9');
  expect(clientAddress(asked, trustedProxies([]))).toBe('10.0.0.1');
});

test('a request id is that of a trusted proxy, and looks like one', () => {
  const id = (remote: string | undefined, given: string) =>
    trustedRequestId(request(remote, { 'x-request-id': given }), trustedProxies(['loopback']));
  expect(id('127.0.0.1', '0123456789abcdef')).toBe('0123456789abcdef');
  expect(id('127.0.0.1', 'no id at all')).toBeUndefined();
  expect(id('203.0.113.9', '0123456789abcdef')).toBeUndefined();
  expect(id(undefined, '0123456789abcdef')).toBeUndefined();
});
