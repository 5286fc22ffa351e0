import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { OauthClient } from './config.js';
import { HttpFault, type Exchange } from './exchange.js';
import { hashToken, passwordMatches, type State } from './state.js';

/** Gitee's access tokens hold one day. */
const TOKEN_SECONDS = 86_400;
const CODE_MS = 10 * 60 * 1000;

interface AuthorizeRequest {
  readonly client: OauthClient;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly state: string | null;
  /** RFC 7636, only S256. */
  readonly codeChallenge: string | null;
}

interface Grant {
  readonly clientId: string;
  readonly login: string;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly codeChallenge: string | null;
  readonly expiresAtMs: number;
}

/** What the page has in its form besides the fields of the request. */
const ANSWERS = ['login', 'password', 'decision'];

/**
 * OAuth 2 as Gitee offers it: authorization code and refresh token, and PKCE for who sends a challenge. Codes live
 * in memory, tokens in the state.
 */
export class Oauth {
  readonly #codes = new Map<string, Grant>();

  constructor(
    private readonly state: State,
    private readonly clients: readonly OauthClient[],
    private readonly now: () => number,
  ) {}

  async handle(exchange: Exchange): Promise<void> {
    const { method, url } = exchange;
    if (url.pathname === '/oauth/authorize' && method === 'GET') return this.#ask(exchange);
    if (url.pathname === '/oauth/authorize' && method === 'POST') return this.#decide(exchange);
    if (url.pathname === '/oauth/token' && method === 'POST') return this.#token(exchange);
    throw new HttpFault(404, '404 Not Found');
  }

  #ask(exchange: Exchange): void {
    const query = exchange.url.searchParams;
    const request = this.#readRequest(query);
    const login = query.get('auto_approve');
    if (login === null) return showForm(exchange, 200, request, query, '');
    if (!request.client.autoApprove)
      throw new HttpFault(403, 'auto_approve is not switched on for this client');
    this.#approve(exchange, request, login);
  }

  async #decide(exchange: Exchange): Promise<void> {
    const form = new URLSearchParams((await exchange.body(64 * 1024)).toString('utf8'));
    const request = this.#readRequest(form);
    if (form.get('decision') === 'deny') {
      // RFC 6749 §4.1.2.1
      return sendBack(exchange, request, {
        error: 'access_denied',
        error_description: 'The resource owner or authorization server denied the request.',
      });
    }
    const account = this.state.account(form.get('login') ?? '');
    if (!account || !passwordMatches(account, form.get('password') ?? ''))
      return showForm(exchange, 401, request, form, 'Incorrect username or password');
    this.#approve(exchange, request, account.login);
  }

  #readRequest(query: URLSearchParams): AuthorizeRequest {
    const client = this.clients.find((c) => c.id === query.get('client_id'));
    const redirectUri = query.get('redirect_uri') ?? '';
    if (!client) throw new HttpFault(401, 'unknown client_id');
    // Never redirect to an address that was not registered: the code would go to a stranger.
    if (!client.redirectUris.includes(redirectUri))
      throw new HttpFault(400, 'redirect_uri is not registered');
    if (query.get('response_type') !== 'code') throw new HttpFault(400, 'response_type must be code');
    const scopes = (query.get('scope') ?? 'user_info').split(' ').filter((s) => s !== '');
    const codeChallenge = query.get('code_challenge');
    if (codeChallenge !== null) {
      if (query.get('code_challenge_method') !== 'S256')
        throw new HttpFault(400, 'code_challenge_method must be S256');
      if (!/^[\w-]{43}$/.test(codeChallenge)) throw new HttpFault(400, 'code_challenge is no SHA-256');
    }
    return { client, redirectUri, scopes, state: query.get('state'), codeChallenge };
  }

  #approve(exchange: Exchange, request: AuthorizeRequest, login: string): void {
    if (!this.state.account(login)) throw new HttpFault(401, 'no such account');
    const code = randomBytes(32).toString('hex');
    this.#codes.set(code, {
      clientId: request.client.id,
      login,
      redirectUri: request.redirectUri,
      scopes: request.scopes,
      codeChallenge: request.codeChallenge,
      expiresAtMs: this.now() + CODE_MS,
    });
    sendBack(exchange, request, { code });
  }

  async #token(exchange: Exchange): Promise<void> {
    // A copy of Gitee's API page says so.
    if (exchange.header('user-agent') === undefined) throw new HttpFault(403, '403 Forbidden');
    const fields = { ...Object.fromEntries(exchange.url.searchParams), ...(await exchange.fields()) };
    const field = (name: string) => {
      const value: unknown = fields[name];
      return typeof value === 'string' ? value : '';
    };
    const client = this.clients.find((c) => c.id === field('client_id'));
    if (!client || !equal(client.secret, field('client_secret')))
      return refuse(exchange, 401, 'invalid_client');
    if (field('grant_type') === 'authorization_code') {
      const grant = this.#codes.get(field('code'));
      this.#codes.delete(field('code'));
      const good =
        grant?.clientId === client.id &&
        grant.redirectUri === field('redirect_uri') &&
        grant.expiresAtMs > this.now() &&
        verifies(grant.codeChallenge, field('code_verifier'));
      return good
        ? this.#issue(exchange, client, grant.login, grant.scopes)
        : refuse(exchange, 400, 'invalid_grant');
    }
    if (field('grant_type') === 'refresh_token') {
      const hash = hashToken(field('refresh_token'));
      const old = this.state.tokens.find((t) => t.refreshHash === hash && !t.revoked);
      if (!old || (old.clientId ?? client.id) !== client.id) return refuse(exchange, 400, 'invalid_grant');
      old.revoked = true;
      return this.#issue(exchange, client, old.login, old.scopes);
    }
    refuse(exchange, 400, 'unsupported_grant_type');
  }

  async #issue(
    exchange: Exchange,
    client: OauthClient,
    login: string,
    scopes: readonly string[],
  ): Promise<void> {
    const [token, refreshToken] = [randomBytes(16).toString('hex'), randomBytes(32).toString('hex')];
    const nowMs = this.now();
    this.state.addToken({
      hash: hashToken(token),
      login,
      scopes,
      expiresAtMs: nowMs + TOKEN_SECONDS * 1000,
      refreshHash: hashToken(refreshToken),
      clientId: client.id,
    });
    await this.state.save();
    exchange.json(
      200,
      {
        access_token: token,
        token_type: 'bearer',
        expires_in: TOKEN_SECONDS,
        refresh_token: refreshToken,
        scope: scopes.join(' '),
        created_at: Math.floor(nowMs / 1000),
      },
      { 'Cache-Control': 'no-store' },
    );
  }
}

function showForm(
  exchange: Exchange,
  status: number,
  request: AuthorizeRequest,
  fields: URLSearchParams,
  complaint: string,
): void {
  const hidden = [...fields]
    .filter(([name]) => !ANSWERS.includes(name))
    .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`)
    .join('');
  exchange.html(
    status,
    `<!DOCTYPE html><html lang="en"><head><title>Authorize</title>` +
      `<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>` +
      `<h1>Local Gitee</h1><p>${escapeHtml(request.client.id)} asks for: ${escapeHtml(request.scopes.join(' '))}</p>` +
      (complaint === '' ? '' : `<p role="alert">${escapeHtml(complaint)}</p>`) +
      `<form method="post" action="/oauth/authorize">${hidden}` +
      `<p><label>Login <input name="login" autocomplete="username"></label></p>` +
      `<p><label>Password <input name="password" type="password" autocomplete="current-password"></label></p>` +
      `<button name="decision" value="allow">Authorize</button> ` +
      `<button name="decision" value="deny">Cancel</button></form></body></html>`,
    // The page shows what the query said: it runs nothing and is framed by nobody.
    {
      'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
    },
  );
}

function sendBack(
  exchange: Exchange,
  request: AuthorizeRequest,
  answer: Readonly<Record<string, string>>,
): void {
  const target = new URL(request.redirectUri);
  for (const [name, value] of Object.entries(answer)) target.searchParams.set(name, value);
  if (request.state !== null) target.searchParams.set('state', request.state);
  exchange.send(302, '', { Location: target.href });
}

/** RFC 7636 §4.6. Without a challenge a verifier means nothing. */
function verifies(challenge: string | null, verifier: string): boolean {
  if (challenge === null) return true;
  return equal(createHash('sha256').update(verifier).digest('base64url'), challenge);
}

function refuse(exchange: Exchange, status: number, error: string): void {
  exchange.json(status, { error, error_description: `the token service refused: ${error}` });
}

function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
