/** What is believed of a request that came through proxies: who the client is, and what they call the request. */
import type { IncomingMessage } from 'node:http';
import express from 'express';

/** Ids as Nginx, Envoy and the like make them; anything else is no id but somebody's text in our log. */
const REQUEST_ID = /^[\w.:-]{8,128}$/;

/** Whether a host is a proxy that is believed, by its address and by how many hosts stand between it and us. */
export type IsTrustedProxy = (address: string, hop: number) => boolean;

/** Of addresses and ranges as Express takes them in its setting `trust proxy`. */
export function trustedProxies(proxies: readonly string[]): IsTrustedProxy {
  const app = express();
  app.set('trust proxy', [...proxies]);
  return app.get('trust proxy fn') as IsTrustedProxy;
}

/**
 * The address of the client as trusted proxies tell it, as `ip` of Express's requests: each of them has added to
 * X-Forwarded-For whom it heard, and what stands before an address that is not trusted is that one's own word.
 */
export function clientAddress(request: IncomingMessage, isTrusted: IsTrustedProxy): string | undefined {
  const { remoteAddress } = request.socket;
  const forwarded = request.headers['x-forwarded-for'];
  if (remoteAddress === undefined || forwarded === undefined) return remoteAddress;
  const told = String(forwarded).split(',');
  const behind = told.map((address) => address.trim()).filter((address) => address !== '');
  let client = remoteAddress;
  for (let hop = 0; behind.length > 0 && isTrusted(client, hop); hop += 1) client = behind.pop()!;
  return client;
}

/** X-Request-Id of a request that came from a trusted proxy, where it is one. */
export function trustedRequestId(request: IncomingMessage, isTrusted: IsTrustedProxy): string | undefined {
  const given = request.headers['x-request-id'];
  const { remoteAddress } = request.socket;
  if (typeof given !== 'string' || remoteAddress === undefined || !isTrusted(remoteAddress, 0))
    return undefined;
  return REQUEST_ID.test(given) ? given : undefined;
}
