import { RemoteError } from '../errors.js';

const TIMEOUTS: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);
/** What the server sent cannot be HTTP, or asks for a request that cannot be made. */
const GARBAGE = /^(HPE_|UND_ERR_(INVALID_ARG|NOT_SUPPORTED|HEADERS_OVERFLOW|RES_EXCEEDED))/;
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ERR_TLS/;

/** A failure without an HTTP answer, as a RemoteError. `what` names the call, without secrets. */
export function networkFailure(error: unknown, what: string): RemoteError {
  const code = codeOf(error);
  if (code !== undefined && TIMEOUTS.has(code))
    return new RemoteError('timeout', `${what} could not connect or got no answer in time (${code})`, {
      cause: error,
    });
  if (code !== undefined && GARBAGE.test(code))
    return new RemoteError('server-fault', `${what} got an answer that cannot be used (${code})`, {
      cause: error,
    });
  if (code !== undefined && CERTIFICATE.test(code))
    return new RemoteError(
      'unreachable',
      `${what} does not trust the server's certificate (${code}): see gitee.ca_file`,
      { cause: error },
    );
  return new RemoteError(
    'unreachable',
    `${what} lost the connection or got none (${code ?? nameOf(error)})`,
    {
      cause: error,
    },
  );
}

/** The code of the error, or of the first one below it that has one (AggregateError of a host's addresses). */
function codeOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 3) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  if (typeof code === 'string') return code;
  const inner = Array.isArray(errors) ? (errors[0] as unknown) : undefined;
  return codeOf(cause, depth + 1) ?? codeOf(inner, depth + 1);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}
