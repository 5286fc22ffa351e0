/** A client of S3 that says what it was told, and that fails by itself where it is asked to. */
import { once } from 'node:events';
import http from 'node:http';
import { ABSENT, valueOf, type Value } from '../../support/history/history.js';
import { encodeQuery, type WireClient } from '../../support/s3-client.js';
import { ANSWER_LIMIT_MS } from '../../support/time-limits.js';
import type { LocalFaultName } from './faults.js';
import type { MatrixRequest } from './operations.js';

/** How far it comes with its request. */
export type Manners = 'well' | Extract<LocalFaultName, `client: ${string}`>;

/** `cut`: there was no whole answer. */
export type Told = number | 'cut';

/** @param saw is told of the bytes of a whole answer, and of a 404 */
export async function ask(
  wire: WireClient,
  request: MatrixRequest,
  manners: Manners,
  saw: (value: Value) => void = () => {},
): Promise<Told> {
  if (manners === 'well') {
    const { method, path, headers, body } = request;
    const answer = request.isForm ? wire.raw(method, path, headers, body) : wire.send(request);
    return await answer.then(
      ({ status, body: bytes }) => {
        if (status === 200 || status === 404) saw(status === 200 ? valueOf(bytes) : ABSENT);
        return status;
      },
      () => 'cut' as const,
    );
  }
  const url = new URL(wire.target.endpoint);
  const body = Buffer.from(request.body ?? '');
  const outgoing = http.request({
    host: url.hostname,
    port: url.port,
    method: request.method,
    path: request.path + encodeQuery(request.query ?? {}),
    headers: {
      ...(request.isForm ? request.headers : await wire.signedHeaders(request)),
      ...(request.body === undefined ? {} : { 'content-length': body.length }),
    },
    agent: false,
  });
  const told = new Promise<Told>((resolve) => {
    outgoing.on('error', () => resolve('cut'));
    outgoing.on('response', (answer) => {
      answer.resume();
      answer.on('error', () => resolve('cut'));
      answer.on('end', () => resolve(answer.statusCode!));
    });
    outgoing.setTimeout(ANSWER_LIMIT_MS, () => outgoing.destroy());
  });
  if (manners === 'client: leaves before the answer') {
    outgoing.end(body);
    outgoing.once('finish', () => outgoing.destroy());
  } else {
    outgoing.write(body.subarray(0, Math.floor(body.length / 2)));
    if (manners === 'client: cuts its body') {
      await once(outgoing, 'socket');
      outgoing.socket!.once('connect', () => setImmediate(() => outgoing.destroy()));
    }
  }
  return await told;
}
