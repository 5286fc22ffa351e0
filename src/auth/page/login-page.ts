/**
 * The pages under /auth/: sign in with Gitee, get a docker password, take everything back. Plain HTML without
 * script. No address ever comes from a request: people are sent to Gitee, or to a path that stands here.
 */
import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import type { Audit, AuditAction, AuditEvent } from '../../async/audit.js';
import type { Clock } from '../../async/clock.js';
import type { Log } from '../../async/log.js';
import type { Metrics } from '../../async/metrics.js';
import { RemoteError } from '../../gitee/errors.js';
import type { GiteeOAuth } from '../../gitee/oauth.js';
import { AddressLimit } from '../address-limit.js';
import { Cookies } from './cookies.js';
import { AuthError } from '../errors.js';
import type { DockerPasswords, GiteeIdentity } from '../identity.js';
import { PAGE_HEADERS } from './login-style.js';
import { languageOf, type Problem } from './login-texts.js';
import { accountPage, endedPage, passwordPage, problemPage, signInPage, type View } from './login-views.js';
import type { StoredGrants } from '../gitee/oauth-grants.js';
import { SIGN_IN_MS, SignIn, type Outcome } from './sign-in.js';
import { isFormOf, SESSION_MS, WebSessions, type WebSession } from './web-sessions.js';

/** Docker's own patience is 30 s, a browser's is longer; nobody likes to look at nothing. */
const REQUEST_MS = 25_000;
const LANGUAGE_SECONDS = 365 * 24 * 3600;
/** Each costs Gitee calls, or this machine a slow hash. A company may sit behind one address. */
const ATTEMPTS_MAX = 60;
const ATTEMPTS_WINDOW_MS = 5 * 60_000;
const FORM_BYTES_MAX = 4096;

export interface LoginPageDeps {
  /** How people reach us: `https://registry.example.com`. */
  readonly publicUrl: string;
  readonly oauth: Pick<GiteeOAuth, 'authorizeUrl' | 'exchange'>;
  readonly identity: GiteeIdentity;
  readonly grants: Pick<StoredGrants, 'keep' | 'drop'>;
  readonly passwords: DockerPasswords;
  /** All that decide about images, as owner/name: who may pull none of them has nothing to do here. */
  readonly repositories: readonly string[];
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** One request and who it comes from. */
interface Visit {
  readonly request: Request;
  readonly response: Response;
  readonly view: View;
  readonly sessionId: string | undefined;
  readonly session: WebSession | undefined;
}

type Step = 'start' | 'login' | 'password' | 'revoke';
type Result = AuditEvent['result'];

export class LoginPage {
  readonly #cookies: Cookies;
  readonly #signIn: SignIn;
  readonly #sessions: WebSessions;
  readonly #limit: AddressLimit;
  readonly #registryHost: string;

  constructor(private readonly deps: LoginPageDeps) {
    const { publicUrl, oauth, identity, repositories, clock } = deps;
    const { protocol, host } = new URL(publicUrl);
    this.#registryHost = host;
    this.#cookies = new Cookies(protocol === 'https:');
    this.#signIn = new SignIn({ oauth, identity, repositories, clock });
    this.#sessions = new WebSessions(clock);
    this.#limit = new AddressLimit({ max: ATTEMPTS_MAX, windowMs: ATTEMPTS_WINDOW_MS, clock });
  }

  /** Answers everything at and under /auth/, and passes on the rest. */
  router(): Router {
    const form = express.urlencoded({ extended: false, limit: FORM_BYTES_MAX });
    const pages = express.Router({ strict: true });
    pages.use((_request, response, next) => {
      for (const [name, value] of Object.entries(PAGE_HEADERS)) response.setHeader(name, value);
      next();
    });
    pages.get(
      '/',
      this.#page((visit) => this.#home(visit)),
    );
    pages.get(
      '/login',
      this.#page((visit) => this.#start(visit)),
    );
    pages.get(
      '/callback',
      this.#page((visit) => this.#finish(visit)),
    );
    pages.get(
      '/password',
      this.#page((visit) => this.#show(visit)),
    );
    pages.get(
      '/revoked',
      this.#page(({ response, view }) => send(response, 200, endedPage(view))),
    );
    pages.post(
      '/password',
      form,
      this.#form((visit, session) => this.#issue(visit, session)),
    );
    pages.post(
      '/revoke',
      form,
      this.#form((visit, session) => this.#revoke(visit, session)),
    );
    pages.post(
      '/logout',
      form,
      this.#form((visit, session) => this.#logout(visit, session)),
    );
    const router = express.Router({ strict: true });
    router.get('/auth', (_request, response) => redirect(response, '/auth/'));
    router.use('/auth/', pages);
    return router;
  }

  #home({ request, response, view, session }: Visit): void {
    const { lang } = request.query;
    if (lang === 'zh' || lang === 'en') {
      this.#cookies.set(response, 'language', lang, LANGUAGE_SECONDS);
      return redirect(response, '/auth/');
    }
    send(response, 200, session ? accountPage(view, session) : signInPage(view));
  }

  async #start(visit: Visit): Promise<void> {
    if (await this.#overLimit(visit, 'start')) return;
    const { url, state } = this.#signIn.start();
    this.#cookies.set(visit.response, 'sign-in', state, SIGN_IN_MS / 1000);
    await this.#report(visit, 'start', 'anonymous', 'ok');
    redirect(visit.response, url);
  }

  async #finish(visit: Visit): Promise<void> {
    const { request, response, view } = visit;
    if (await this.#overLimit(visit, 'login')) return;
    const outcome = await this.#signIn.finish(
      {
        state: text(request.query['state']),
        code: text(request.query['code']),
        // One that cannot be read is an error all the same, whatever code comes with it.
        error: request.query['error'] === undefined ? undefined : (text(request.query['error']) ?? '?'),
        cookie: this.#cookies.get(request, 'sign-in'),
      },
      AbortSignal.timeout(REQUEST_MS),
    );
    // A stale link leaves the cookie: a sign-in in another tab may still be on its way.
    if (outcome.kind !== 'stale') this.#cookies.set(response, 'sign-in', '', 0);
    if (outcome.kind === 'signed-in') return this.#welcome(visit, outcome);
    const who = outcome.kind === 'no-right' ? outcome.login : 'anonymous';
    await this.#report(visit, 'login', who, 'refused', {
      reason: outcome.kind,
      ...(outcome.kind === 'gitee-error' ? { error: outcome.error } : {}),
    });
    const [status, problem] = REFUSALS[outcome.kind];
    const list = outcome.kind === 'no-right' ? this.deps.repositories : [];
    send(response, status, problemPage(view, problem, list));
  }

  async #welcome(visit: Visit, { user, rights, tokens }: Outcome & { kind: 'signed-in' }): Promise<void> {
    await this.deps.grants.keep(user.login, user.id, tokens);
    // A new id at each sign-in: one that was planted before is worth nothing.
    this.#sessions.end(visit.sessionId);
    const id = this.#sessions.begin({ login: user.login, name: user.name, giteeUserId: user.id, rights });
    this.#cookies.set(visit.response, 'session', id, SESSION_MS / 1000);
    await this.#report(visit, 'login', user.login, 'ok', { giteeUserId: user.id });
    redirect(visit.response, '/auth/');
  }

  /** Post, redirect, get: a reload of what is shown then asks for nothing twice. */
  async #issue(visit: Visit, session: WebSession): Promise<void> {
    if (await this.#overLimit(visit, 'password')) return;
    const password = await this.deps.passwords.issue(session.login, session.giteeUserId);
    await this.#report(visit, 'password', session.login, 'ok');
    this.#sessions.putPassword(visit.sessionId ?? '', password);
    redirect(visit.response, '/auth/password');
  }

  #show({ request, response, view, sessionId, session }: Visit): void {
    if (!session || sessionId === undefined) return redirect(response, '/auth/');
    // What looks before a person does (HEAD, prefetch) must not use it up.
    const looked = request.method === 'GET' && request.get('sec-purpose') === undefined;
    const password = looked ? this.#sessions.takePassword(sessionId) : undefined;
    if (password === undefined) send(response, 410, problemPage(view, 'shown'));
    else send(response, 200, passwordPage(view, session, password));
  }

  async #revoke(visit: Visit, { login }: WebSession): Promise<void> {
    // The password first: should the second fail, nothing works any more that somebody else may hold.
    await this.deps.passwords.revoke(login);
    await this.deps.grants.drop(login);
    this.#sessions.endAll(login);
    this.#cookies.set(visit.response, 'session', '', 0);
    await this.#report(visit, 'revoke', login, 'ok');
    redirect(visit.response, '/auth/revoked');
  }

  async #logout({ request, response, sessionId }: Visit, { login }: WebSession): Promise<void> {
    this.#sessions.end(sessionId);
    this.#cookies.set(response, 'session', '', 0);
    await this.deps.audit.record(event(request, 'oauth.logout', login, 'ok'));
    redirect(response, '/auth/');
  }

  /** A handler whose failures become pages. */
  #page(answer: (visit: Visit) => void | Promise<void>): RequestHandler {
    return async (request, response) => {
      const visit = this.#visit(request, response);
      try {
        await answer(visit);
      } catch (error) {
        await this.#failed(visit, error);
      }
    };
  }

  /** A page that changes something: only for who is signed in, by a form of that same session. */
  #form(answer: (visit: Visit, session: WebSession) => Promise<void>): RequestHandler {
    return this.#page(async (visit) => {
      const { request, response, view, session } = visit;
      if (!session) return redirect(response, '/auth/');
      const body = request.body as Record<string, unknown> | undefined;
      // With Referrer-Policy no-referrer, Origin is `null` even from here: Sec-Fetch-Site says more.
      const site = request.get('sec-fetch-site');
      const foreign = site !== undefined && site !== 'same-origin';
      if (foreign || !isFormOf(session, body?.['form_token'])) {
        await this.deps.audit.record(
          event(request, 'oauth.form', session.login, 'refused', { reason: 'forged' }),
        );
        return send(response, 403, problemPage(view, 'forged'));
      }
      await answer(visit, session);
    });
  }

  #visit(request: Request, response: Response): Visit {
    const chosen = this.#cookies.get(request, 'language');
    const language = chosen === 'zh' || chosen === 'en' ? chosen : languageOf(request.get('accept-language'));
    const sessionId = this.#cookies.get(request, 'session');
    const session = this.#sessions.get(sessionId);
    // For the line of the access log.
    if (session) (response.locals as { user?: string }).user = session.login;
    return {
      request,
      response,
      view: { language, registryHost: this.#registryHost },
      sessionId,
      session,
    };
  }

  async #overLimit(visit: Visit, step: Step): Promise<boolean> {
    const waitMs = this.#limit.take(addressOf(visit.request));
    if (waitMs === undefined) return false;
    await this.#report(visit, step, visit.session?.login ?? 'anonymous', 'refused', { reason: 'too-many' });
    visit.response.setHeader('Retry-After', Math.ceil(waitMs / 1000));
    send(visit.response, 429, problemPage(visit.view, 'tooMany'));
    return true;
  }

  async #failed(visit: Visit, error: unknown): Promise<void> {
    const { request, response, view, session } = visit;
    const step = STEP_OF[request.path];
    const [status, problem] = failureOf(error);
    if (problem === 'misconfigured' || problem === 'broken')
      this.deps.log.error('the login page failed', { path: request.path, error });
    else this.deps.log.warn('the login page could not do what it was asked', { path: request.path, error });
    if (step) await this.#report(visit, step, session?.login ?? 'anonymous', 'failed', { reason: problem });
    if (status === 503) response.setHeader('Retry-After', 30);
    if (!response.headersSent) send(response, status, problemPage(view, problem));
  }

  /** Every step in the audit log and in the metric. */
  async #report(
    { request }: Visit,
    step: Step,
    who: string,
    result: Result,
    detail: AuditEvent['detail'] = {},
  ): Promise<void> {
    this.deps.metrics.count('gateway_oauth_steps_total', { step, result });
    await this.deps.audit.record(event(request, `oauth.${step}`, who, result, detail));
  }
}

const REFUSALS: Readonly<Record<Exclude<Outcome['kind'], 'signed-in'>, readonly [number, Problem]>> = {
  stale: [400, 'stale'],
  denied: [403, 'denied'],
  'gitee-error': [502, 'giteeError'],
  'code-refused': [400, 'codeRefused'],
  'no-right': [403, 'noRight'],
};

const STEP_OF: Readonly<Record<string, Step>> = {
  '/login': 'start',
  '/callback': 'login',
  '/password': 'password',
  '/revoke': 'revoke',
};

function failureOf(error: unknown): readonly [number, Problem] {
  if (error instanceof AuthError && error.code === 'busy') return [503, 'busy'];
  if (error instanceof RemoteError)
    return error.code === 'refused' ? [502, 'misconfigured'] : [503, 'unreachable'];
  if (error instanceof DOMException && error.name === 'TimeoutError') return [503, 'unreachable'];
  return [500, 'broken'];
}

function event(
  request: Request,
  action: AuditAction,
  who: string,
  result: Result,
  detail: AuditEvent['detail'] = {},
): AuditEvent {
  const requestId = /^[\w.-]{1,80}$/.exec(request.get('x-request-id') ?? '')?.[0];
  return {
    ...{ who, action, subject: '', from: addressOf(request), result, detail },
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** Without what a socket that speaks both protocols puts before an IPv4 address. */
function addressOf(request: Request): string {
  return (request.ip ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

/** A query may repeat a name or nest it: then it is none of ours. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 2048 ? value : undefined;
}

function send(response: Response, status: number, page: string): void {
  response.status(status).type('html').send(page);
}

/** RFC 9110 §15.4.4: the browser goes on with GET. No body: it would repeat the state. */
function redirect(response: Response, target: string): void {
  response.status(303).setHeader('Location', target).end();
}
