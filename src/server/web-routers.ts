import type { RequestHandler } from 'express';
import type { SharedParts } from './bucket-parts.js';

/** What the web listener serves with this configuration; empty: it does not listen. */
export function webRouters({ auth, login }: SharedParts): RequestHandler[] {
  return auth ? [auth.router, ...(login ? [login.router(auth)] : [])] : [];
}
