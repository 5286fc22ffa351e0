import type { IncomingMessage, ServerResponse } from 'node:http';

/** A refusal that has a status and a text. Each surface dresses it in its own body. */
export class HttpFault extends Error {
  override readonly name = 'HttpFault';

  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** One request and its answer. */
export class Exchange {
  /** Only path and query matter: the host is whatever the client called us. */
  readonly url: URL;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
  ) {
    this.url = new URL(request.url ?? '/', 'http://local');
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The whole body. Throws HttpFault 413 over `maxBytes`. */
  async body(maxBytes = 4 * 1024 * 1024): Promise<Buffer> {
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for await (const part of this.request as AsyncIterable<Buffer>) {
      sizeBytes += part.length;
      if (sizeBytes > maxBytes) throw new HttpFault(413, 'Request Entity Too Large');
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** A JSON or form body as one flat object; {} where there is none. */
  async fields(): Promise<Record<string, unknown>> {
    const bytes = await this.body();
    if (bytes.length === 0) return {};
    if ((this.header('content-type') ?? '').includes('json')) return parseObject(bytes);
    return Object.fromEntries(new URLSearchParams(bytes.toString('utf8')));
  }

  json(status: number, body: unknown, headers: Record<string, string> = {}): void {
    this.send(status, JSON.stringify(body), { 'Content-Type': 'application/json', ...headers });
  }

  text(status: number, body: string, headers: Record<string, string> = {}): void {
    this.send(status, body, { 'Content-Type': 'text/plain; charset=utf-8', ...headers });
  }

  html(status: number, body: string, headers: Record<string, string> = {}): void {
    this.send(status, body, { 'Content-Type': 'text/html; charset=utf-8', ...headers });
  }

  send(status: number, body: string, headers: Record<string, string>): void {
    if (this.response.headersSent || this.response.destroyed) return;
    const bytes = Buffer.from(body);
    // An unread request body would hold the connection: the client is told to open a new one.
    const unread = !this.request.complete && hasBody(this.request);
    this.response.writeHead(status, {
      ...headers,
      'Content-Length': String(bytes.length),
      ...(unread ? { Connection: 'close' } : {}),
    });
    this.response.end(this.method === 'HEAD' ? undefined : bytes);
    if (unread) this.request.resume();
  }

  /** Cuts the connection without another word. */
  cut(): void {
    this.request.socket.destroy();
  }
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
}

/** Parses a JSON object. Throws HttpFault 400 for anything else. */
export function parseObject(bytes: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new HttpFault(400, '400 Bad Request: the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HttpFault(400, '400 Bad Request: the body is not a JSON object');
  }
  return value as Record<string, unknown>;
}

/** A login page where something else belongs: what a proxy in between, or an expired session, answers. */
export const LOGIN_PAGE =
  '<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form action="/login"></form></body></html>\n';
