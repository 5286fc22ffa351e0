import type { Request } from 'express';

/** Ids as Nginx, Envoy and the like make them; anything else is no id but somebody's text in our log. */
const REQUEST_ID = /^[\w.:-]{8,128}$/;

/** X-Request-Id of a request that came from a trusted proxy (Express's `trust proxy`), where it is one. */
export function trustedRequestId(request: Request): string | undefined {
  const isTrusted = request.app.get('trust proxy fn') as (address: string, hop: number) => boolean;
  const address = request.socket.remoteAddress;
  if (address === undefined || !isTrusted(address, 0)) return undefined;
  const given = request.get('x-request-id');
  return given !== undefined && REQUEST_ID.test(given) ? given : undefined;
}
