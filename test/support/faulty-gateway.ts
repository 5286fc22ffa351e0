import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Every operation that the registry's s3 driver asks for. */
export const DRIVER_OPERATIONS = [
  'PutObject',
  'GetObject',
  'ListObjects',
  'ListObjectsV2',
  'DeleteObjects',
  'CreateMultipartUpload',
  'ListMultipartUploads',
  'ListParts',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
  'CopyObject',
] as const;
export type DriverOperation = (typeof DRIVER_OPERATIONS)[number];

/**
 * What happens to one request instead of its answer; a function runs while the request goes on to the gateway, and
 * may hold the rest of its body back for good.
 */
export type S3Fault = 'slow-down' | 'service-unavailable' | 'reset' | ((hold: () => void) => void);

/** Before a fault in the middle of a body, so much of it has gone by. */
const BODY_BEFORE_FAULT_BYTES = 1024 * 1024;

/** Stands between Nginx and the gateway, passes everything on as it is, and fails what it is told to. */
export class FaultyGateway {
  readonly #server: Server;
  readonly #planned = new Map<DriverOperation, S3Fault>();
  /** Faults that happened, in order. */
  readonly happened: DriverOperation[] = [];
  /** How much passed of each body that was let through: the largest, by operation. */
  readonly largestBytes = new Map<DriverOperation, number>();

  private constructor(private readonly endpoint: URL) {
    this.#server = createServer({ maxHeaderSize: 64 * 1024 }, (incoming, response) =>
      this.#handle(incoming, response),
    );
    this.#server.requestTimeout = 0;
    this.#server.keepAliveTimeout = 120_000;
  }

  static async start(endpoint: string): Promise<FaultyGateway> {
    const faulty = new FaultyGateway(new URL(endpoint));
    faulty.#server.listen(0, '127.0.0.1');
    await once(faulty.#server, 'listening');
    return faulty;
  }

  /** host:port */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next request of this kind fails, once. */
  fail(operation: DriverOperation, fault: S3Fault): void {
    this.#planned.set(operation, fault);
  }

  /** Faults that have not happened yet. */
  get outstanding(): DriverOperation[] {
    return [...this.#planned.keys()];
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #handle(incoming: IncomingMessage, response: ServerResponse): void {
    const operation = operationOf(incoming);
    const fault = operation && this.#planned.get(operation);
    if (!operation || !fault) {
      this.#forward(incoming, response);
      return;
    }
    this.#planned.delete(operation);
    this.happened.push(operation);
    const largest = this.largestBytes.get(operation) ?? 0;
    this.largestBytes.set(operation, Math.max(largest, Number(incoming.headers['content-length'] ?? 0)));
    if (fault === 'reset') afterSomeBody(incoming, () => incoming.socket.destroy());
    else if (typeof fault === 'function') {
      const hold = () => {
        incoming.unpipe();
        incoming.pause();
      };
      afterSomeBody(incoming, () => fault(hold));
      this.#forward(incoming, response);
    } else refuse(incoming, response, fault);
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const { hostname, port } = this.endpoint;
    const { method, url: path, rawHeaders: headers } = incoming;
    const outgoing = request({ hostname, port, method, path, headers, agent: false, setHost: false });
    const cut = () => incoming.socket.destroy();
    outgoing.on('error', cut);
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode!, answer.statusMessage, answer.rawHeaders);
      answer.on('error', cut);
      answer.pipe(response);
    });
    incoming.on('error', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }
}

/** As the gateway refuses: before the body was read, which goes on coming. */
function refuse(incoming: IncomingMessage, response: ServerResponse, fault: string): void {
  const code = fault === 'slow-down' ? 'SlowDown' : 'ServiceUnavailable';
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>later</Message></Error>`;
  response.writeHead(503, {
    'Content-Type': 'application/xml',
    'Content-Length': Buffer.byteLength(body),
    ...(fault === 'slow-down' ? { 'Retry-After': '1' } : {}),
    Connection: 'close',
  });
  response.write(body);
  incoming.resume();
  incoming.once('close', () => response.end());
  incoming.once('end', () => response.end());
}

/** Also where the body is smaller: then at its end. */
function afterSomeBody(incoming: IncomingMessage, fault: () => void): void {
  let passedBytes = 0;
  let isDone = false;
  const happen = () => {
    if (isDone) return;
    isDone = true;
    fault();
  };
  incoming.on('data', (piece: Buffer) => {
    passedBytes += piece.length;
    if (passedBytes >= BODY_BEFORE_FAULT_BYTES) happen();
  });
  incoming.once('end', happen);
}

function operationOf({ method, url, headers }: IncomingMessage): DriverOperation | undefined {
  const { pathname, searchParams: query } = new URL(url!, 'http://gateway');
  const isBucket = pathname.split('/').filter((part) => part !== '').length === 1;
  const isCopy = headers['x-amz-copy-source'] !== undefined;
  const has = (name: string) => query.has(name);
  switch (method) {
    case 'PUT':
      if (has('partNumber')) return isCopy ? 'UploadPartCopy' : 'UploadPart';
      return isCopy ? 'CopyObject' : 'PutObject';
    case 'POST':
      if (has('delete')) return 'DeleteObjects';
      return has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
    case 'DELETE':
      return has('uploadId') ? 'AbortMultipartUpload' : undefined;
    case 'GET':
      if (has('uploads')) return 'ListMultipartUploads';
      if (has('uploadId')) return 'ListParts';
      if (has('list-type')) return 'ListObjectsV2';
      return isBucket ? 'ListObjects' : 'GetObject';
    default:
      return undefined;
  }
}
