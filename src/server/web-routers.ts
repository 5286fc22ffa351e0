import type { RequestHandler } from 'express';
import type { GatewayComponents } from './components.js';

/** What the web listener serves with this configuration; empty: it does not listen. */
export function webRouters({ auth, login }: GatewayComponents): RequestHandler[] {
  return auth ? [auth.router, ...(login ? [login.router(auth)] : [])] : [];
}
