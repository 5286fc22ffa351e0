/**
 * The S3 endpoint. A request goes: target → signature → operation → rights → operation. Nothing of its body is
 * read before the first four are right.
 */
import express, { type Request } from 'express';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../async/clock.js';
import type { Log } from '../async/log.js';
import type { Metrics } from '../async/metrics.js';
import type { ObjectKey } from '../format/ids.js';
import type { ObjectsApi } from '../objects/api.js';
import { recordAccess, type AccessRecord } from './access-log.js';
import { ANONYMOUS, isUnsigned, publicOperation } from './anonymous.js';
import { writeAnswer, writeError, type AnswerContext } from './answer.js';
import { PRIVATE, type BucketSettings } from './bucket-settings.js';
import type { DrainLimits } from './connection.js';
import { answerHeaders, preflightHeaders } from './cors.js';
import { findOperation, findRoute } from './routes.js';
import { newRequestId, NO_SUBJECT } from './error-document.js';
import { toS3Error } from './error-map.js';
import { S3Error } from './errors.js';
import { RequestHeaders } from './headers.js';
import { checkInert } from './inert-headers.js';
import type { Operation, OperationAnswer } from './operation.js';
import type { FormFields } from './post-form/fields.js';
import { verifyForm } from './post-form/verify.js';
import { errorFor } from './registry-driver.js';
import { openBody } from './request-body.js';
import { checkKey, parseRequestTarget, withLiteralPlus, type RequestTarget } from './request-target.js';
import { allows, type CredentialStore } from './sigv4/credentials.js';
import { headersMeant } from './sigv4/hoisted.js';
import { trustedRequestId } from './upstream-request-id.js';
import { SigningKeys } from './sigv4/signing.js';
import { verifyRequest, type Identity } from './sigv4/verify.js';

export { prepareS3Server } from './connection.js';
export type { BucketSettings } from './bucket-settings.js';
export type { CorsRule } from './cors.js';
export type { Credential, CredentialStore, Right } from './sigv4/credentials.js';

export interface S3AppDeps {
  readonly objects: ObjectsApi;
  readonly credentials: CredentialStore;
  /** What everybody may do. Default: nothing. */
  readonly settings?: BucketSettings;
  /** The one region that requests may be signed for. */
  readonly region: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Domain of virtual-host style requests: `bucket.domain`. Without it all are path style. */
  readonly domain?: string;
  /** A body that stands still for longer is answered RequestTimeout. Default 30 s. */
  readonly bodyIdleTimeoutMs?: number;
  /** A client that takes nothing of its answer for longer is cut off. Default 15 min. */
  readonly answerIdleTimeoutMs?: number;
  /** What is read of a refused body. */
  readonly drain?: Partial<DrainLimits>;
  /** Proxies whose X-Forwarded-For and X-Request-Id are believed, as Express takes them. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Told of every request when its answer is out; must not throw. */
  readonly onAccess?: (record: AccessRecord) => void;
}

const DRAIN_DEFAULTS: DrainLimits = {
  keepAliveBytes: 256 * 1024,
  maxBytes: 16 * 1024 * 1024,
  timeoutMs: 5000,
};
const BODY_IDLE_TIMEOUT_MS = 30_000;
/** Nginx waits 5 min for its own clients, and what it buffers for a slow one lasts some minutes more. */
const ANSWER_IDLE_TIMEOUT_MS = 15 * 60_000;

/** What is known of a request so far, for the log and for errors. */
interface Progress {
  target?: RequestTarget;
  operation?: Operation;
  /** The key that a form names, where its signature is right. */
  formKey?: string;
  identity?: Identity;
  error?: S3Error;
  bytesIn: number;
  bytesOut: number;
  changedKeys?: readonly string[];
}

/**
 * The Express application of the S3 listener. It parses no body and decodes no path: everything is read from
 * `req.url` as it was sent. Use prepareS3Server on the http.Server that it is given to.
 */
export function createS3App(deps: S3AppDeps): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.set('trust proxy', [...(deps.trustedProxies ?? [])]);
  const endpoint = new S3Endpoint(deps);
  app.use((req, res) => endpoint.handle(req, res));
  return app;
}

/** A request as far as its line and headers tell. */
interface AskedRequest {
  readonly method: string;
  readonly target: RequestTarget;
  readonly kind: Operation['target'];
  readonly headers: RequestHeaders;
  /** With what a presigned link has in its query. */
  readonly meant: RequestHeaders;
}

/** Scheme and host as the client used them, and the bucket where the host does not name it. */
function bucketUrlOf(req: IncomingMessage, headers: RequestHeaders, target: RequestTarget): string {
  const origin = `${(req.socket as TLSSocket).encrypted ? 'https' : 'http'}://${headers.get('host') ?? ''}`;
  return target.isVirtualHost ? origin : `${origin}/${target.bucket}`;
}

class S3Endpoint {
  readonly #drain: DrainLimits;
  readonly #settings: BucketSettings;
  readonly #signingKeys = new SigningKeys();

  constructor(private readonly deps: S3AppDeps) {
    this.#drain = { ...DRAIN_DEFAULTS, ...deps.drain };
    this.#settings = deps.settings ?? PRIVATE;
  }

  /** Never rejects. */
  async handle(req: Request, res: ServerResponse): Promise<void> {
    const { clock } = this.deps;
    const startedMs = clock.steadyMs();
    const requestId = newRequestId();
    const progress: Progress = { bytesIn: 0, bytesOut: 0 };
    const gone = new AbortController();
    res.on('close', () => {
      const isWhole = res.writableFinished;
      if (!isWhole) gone.abort(new Error('the client closed the connection'));
      this.#record(req, res, requestId.id, progress, startedMs, isWhole);
    });
    res.setHeader('x-amz-request-id', requestId.id);
    res.setHeader('x-amz-id-2', requestId.hostId);
    const context: AnswerContext = {
      req,
      res,
      requestId,
      signal: gone.signal,
      drain: this.#drain,
      answerIdleTimeoutMs: this.deps.answerIdleTimeoutMs ?? ANSWER_IDLE_TIMEOUT_MS,
      onBytes: (sizeBytes) => {
        progress.bytesOut += sizeBytes;
      },
    };
    try {
      const answer = await this.#answer(req, res, progress, { signal: gone.signal, requestId: requestId.id });
      if (answer.changedKeys) progress.changedKeys = answer.changedKeys;
      if (!gone.signal.aborted) await writeAnswer(answer, context);
    } catch (thrown) {
      const error = (progress.error = toS3Error(thrown));
      this.#logFailure(error, requestId.id, gone.signal.aborted);
      const { target, operation } = progress;
      const answered = errorFor(error, {
        operation: operation?.name,
        isRegistryBucket: target !== undefined && this.#settings.isRegistry(target.bucket),
        userAgent: req.headers['user-agent'],
        authorization: req.headers.authorization,
      });
      const subject = target
        ? { resource: target.rawPath, bucket: target.bucket, key: target.keyText }
        : { ...NO_SUBJECT, resource: (req.url ?? '').split('?')[0]! };
      // Where the client is gone nobody reads it, and waiting for the rest of its body would only hold a timer.
      if (error.code === 'NoSuchBucket') res.removeHeader('x-amz-bucket-region');
      if (!gone.signal.aborted) writeError(answered, subject, context);
    }
  }

  async #answer(
    req: IncomingMessage,
    res: ServerResponse,
    progress: Progress,
    context: { signal: AbortSignal; requestId: string },
  ): Promise<OperationAnswer> {
    const { objects, region, domain } = this.deps;
    const headers = new RequestHeaders(req.rawHeaders);
    const method = req.method ?? '';
    const target = (progress.target = parseRequestTarget(req.url ?? '/', headers.get('host'), domain));
    const { bucket, keyText, query } = target;
    const rules = this.#settings.corsRules(bucket);
    // Browsers ask before they send a signature.
    if (method === 'OPTIONS')
      return { status: 200, headers: preflightHeaders(rules, headers, keyText === '' ? 'BUCKET' : 'OBJECT') };
    // Errors get them too: without them a script could not even read the status.
    for (const [name, value] of Object.entries(answerHeaders(rules, method, headers)))
      res.setHeader(name, value);
    const kind = bucket === '' ? 'service' : keyText === '' ? 'bucket' : 'object';
    // AWS HeadBucket: with refusals too. Whoever does not know the region asks so, often unsigned.
    if (kind === 'bucket' && (method === 'HEAD' || method === 'GET'))
      res.setHeader('x-amz-bucket-region', region);
    const meant = headersMeant(headers, query);
    const { operation, identity } = this.#admit({ method, target, kind, headers, meant }, progress);
    const bodyIdleTimeoutMs = this.deps.bodyIdleTimeoutMs ?? BODY_IDLE_TIMEOUT_MS;
    return await operation.run({
      objects,
      settings: this.#settings,
      region,
      bucket,
      // Only object operations look at it, and there it is checked.
      key: kind === 'object' ? checkKey(progress.target.keyText) : ('' as ObjectKey),
      query,
      headers: meant,
      identity,
      context,
      bucketUrl: bucketUrlOf(req, headers, target),
      verifyForm: (fields) => this.#admitForm(fields, bucket, progress),
      bodyIdleTimeoutMs,
      body: (isOfObject) =>
        openBody({
          req,
          res,
          headers: meant,
          hasOwnChecksum: isOfObject === undefined,
          identity,
          idleTimeoutMs: bodyIdleTimeoutMs,
          onBytes: (sizeBytes) => {
            progress.bytesIn += sizeBytes;
          },
        }),
    });
  }

  /**
   * What is to be done, and who asks for it. Only a request that does not try to sign can pass as anonymous.
   * @throws S3Error AccessDenied and all that verifyRequest and findOperation throw
   */
  #admit(request: AskedRequest, progress: Progress): { operation: Operation; identity: Identity } {
    const { credentials, region, clock } = this.deps;
    const { method, target, kind, headers, meant } = request;
    const { bucket, query, rawPath } = target;
    if (isUnsigned(headers, query)) {
      const asked = findRoute(method, kind, query, meant)?.operation;
      // The signature of a form is among its fields.
      const isForm = asked?.signedBy === 'form';
      if (isForm || this.#settings.isPublicRead(bucket)) {
        progress.operation = isForm ? asked : publicOperation(asked, query);
        this.#find(request);
        return { operation: progress.operation, identity: ANONYMOUS };
      }
    }
    const identity = verifyRequest(
      { method, rawPath, query, headers },
      { credentials, region, clock, signingKeys: this.#signingKeys },
    );
    progress.identity = identity;
    if (identity.isPlusLiteral) progress.target = withLiteralPlus(target);
    const operation = (progress.operation = this.#find(request));
    if (kind !== 'service' && !allows(identity.credential.rights(bucket), operation.right))
      throw new S3Error('AccessDenied');
    return { operation, identity };
  }

  /** The operation, where nothing stands in the request that it would pass over. @throws S3Error */
  #find({ method, target, kind, meant }: AskedRequest): Operation {
    const operation = findOperation(method, kind, target.query, meant);
    if (kind !== 'service') checkInert(meant, this.#settings.isPublicRead(target.bucket));
    return operation;
  }

  /** @throws S3Error AccessDenied and all that verifyForm throws */
  #admitForm(fields: FormFields, bucket: string, progress: Progress) {
    const { credentials, region, clock } = this.deps;
    const { accessKeyId, credential, policy } = verifyForm(fields, { credentials, region, clock });
    progress.identity = { ...ANONYMOUS, accessKeyId, credential };
    progress.formKey = fields.get('key') ?? '';
    if (!allows(credential.rights(bucket), 'write')) throw new S3Error('AccessDenied');
    return { policy, nowMs: clock.nowMs() };
  }

  /** A 503 is how the gateway asks for patience; any other 5xx is somebody's bug. */
  #logFailure(error: S3Error, requestId: string, isGone: boolean): void {
    if (error.status < 500 || error.status === 501 || isGone) return;
    const fields = { requestId, code: error.code, error: error.cause ?? error };
    if (error.status === 503) this.deps.log.warn('request put off', fields);
    else this.deps.log.error('request failed', fields);
  }

  #record(
    req: Request,
    res: ServerResponse,
    requestId: string,
    progress: Progress,
    startedMs: number,
    isWhole: boolean,
  ): void {
    const { clock, log, metrics } = this.deps;
    const record: AccessRecord = {
      requestId,
      upstreamRequestId: trustedRequestId(req),
      method: req.method ?? '',
      url: req.url ?? '',
      operation: progress.operation?.name ?? 'unknown',
      audited: progress.operation?.audited,
      bucket: progress.target?.bucket ?? '',
      changedKeys: progress.changedKeys,
      key: progress.formKey ?? progress.target?.keyText ?? '',
      accessKeyId: progress.identity?.accessKeyId,
      // 499, as Nginx writes it: the client went away before there was an answer.
      status: res.headersSent ? res.statusCode : 499,
      code: progress.error?.code,
      bytesIn: progress.bytesIn,
      bytesOut: progress.bytesOut,
      durationMs: clock.steadyMs() - startedMs,
      remoteAddress: req.socket.remoteAddress,
      clientAddress: req.ip,
      userAgent: req.headers['user-agent'],
      isWhole,
    };
    recordAccess(record, log, metrics);
    this.deps.onAccess?.(record);
  }
}
