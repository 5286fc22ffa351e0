/**
 * `/token` over HTTP: GET with a query and Basic (docker, skopeo, podman; distribution's docs/spec/auth/token.md),
 * POST with a form (docker with an identitytoken, containerd; docs/spec/auth/oauth.md).
 */
import { randomUUID } from 'node:crypto';
import express, { type Request, type Response, type Router } from 'express';
import { AuthError } from '../errors.js';
import { refusalOf } from './refusal.js';
import { formatScope } from './scopes.js';
import type { Credentials, TokenAnswer, TokenRequest, TokenService } from './token-service.js';

const FORM_TYPE = 'application/x-www-form-urlencoded';
const FORM_BYTES_MAX = 32 * 1024;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export interface TokenRouterOptions {
  readonly service: TokenService;
  /** For texts; without `/` at its end. */
  readonly publicUrl: string | undefined;
}

export function tokenRouter(options: TokenRouterOptions): Router {
  const router = express.Router();
  const form = express.text({ type: FORM_TYPE, limit: FORM_BYTES_MAX });
  const answer =
    (read: (request: Request) => TokenRequest) => async (request: Request, response: Response) => {
      // RFC 6749 §5.1: what holds a token is kept by no cache.
      response.set({ 'Cache-Control': 'no-store', Pragma: 'no-cache' });
      const requestId = requestIdOf(request);
      response.set('X-Request-Id', requestId);
      try {
        response.json(document(await options.service.answer({ ...read(request), requestId })));
      } catch (error) {
        if (!(error instanceof AuthError)) throw error;
        refuse(response, error, options.publicUrl);
      }
    };
  router.get('/token', answer(fromQuery));
  router.post('/token', form, answer(fromForm));
  router.all('/token', (_request, response) => {
    response
      .status(405)
      .set('Allow', 'GET, HEAD, POST')
      .json({ errors: [{ code: 'UNSUPPORTED', message: 'ask for a token with GET or POST' }] });
  });
  return router;
}

function fromQuery(request: Request): TokenRequest {
  const at = request.originalUrl.indexOf('?');
  const fields = new URLSearchParams(at < 0 ? '' : request.originalUrl.slice(at + 1));
  return common(request, fields, basicOf(request), fields.get('offline_token') === 'true');
}

function fromForm(request: Request): TokenRequest {
  if (typeof request.body !== 'string')
    throw new AuthError('bad-request', `a POST must have a body of type ${FORM_TYPE}`);
  const fields = new URLSearchParams(request.body);
  const offline = fields.get('access_type') === 'offline' || fields.get('offline_token') === 'true';
  return common(request, fields, formCredentials(fields), offline);
}

function common(
  request: Request,
  fields: URLSearchParams,
  credentials: Credentials,
  offline: boolean,
): TokenRequest {
  return {
    credentials,
    service: fields.get('service') ?? undefined,
    scopes: fields.getAll('scope'),
    offline,
    client: fields.get('client_id') ?? '',
    // An IPv4 client of a socket that speaks both.
    address: (request.ip ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
    requestId: '',
  };
}

function formCredentials(fields: URLSearchParams): Credentials {
  const grantType = fields.get('grant_type');
  if (grantType === 'refresh_token') {
    // Without a user name: the token itself says whose session it is.
    const refreshToken = fields.get('refresh_token');
    if (refreshToken === null || refreshToken === '')
      throw new AuthError('bad-request', 'grant_type refresh_token needs a refresh_token');
    return { kind: 'session', refreshToken };
  }
  if (grantType === 'password') {
    const [user, password] = [fields.get('username'), fields.get('password')];
    if (user === null || password === null)
      throw new AuthError('bad-request', 'grant_type password needs a username and a password');
    return { kind: 'password', user, password };
  }
  throw new AuthError('bad-request', 'grant_type must be refresh_token or password');
}

/** RFC 7617. What is no such header is a wrong login, not a missing one. */
function basicOf(request: Request): Credentials {
  const header = request.headers.authorization;
  if (header === undefined) return { kind: 'anonymous' };
  const m = /^Basic +([\w+/=-]+) *$/i.exec(header);
  const text = m ? Buffer.from(m[1]!, 'base64').toString('utf8') : '';
  const colon = text.indexOf(':');
  if (colon < 0) return { kind: 'password', user: '', password: '' };
  return { kind: 'password', user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function requestIdOf(request: Request): string {
  const given = request.get('x-request-id');
  return given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
}

function document(answer: TokenAnswer): Record<string, unknown> {
  return {
    token: answer.token,
    access_token: answer.token,
    token_type: 'Bearer',
    expires_in: answer.expiresInSeconds,
    issued_at: new Date(answer.issuedMs).toISOString(),
    scope: answer.granted.map(formatScope).join(' '),
    ...(answer.refreshToken === undefined ? {} : { refresh_token: answer.refreshToken }),
  };
}

function refuse(response: Response, error: AuthError, publicUrl: string | undefined): void {
  const { status, code, message, retryAfterSeconds } = refusalOf(error, publicUrl);
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  if (status === 401) response.set('WWW-Authenticate', 'Basic realm="gitee-s3", charset="UTF-8"');
  response.status(status).json({ errors: [{ code, message }] });
}
