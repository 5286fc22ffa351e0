import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Express, Request, Response } from 'express';
import { prepareS3Server } from '../s3/endpoint.js';
import { HttpListener } from './http-listener.js';

/** Large enough for 2 KiB of user metadata and a long presigned query; S3 itself takes 8 KiB. */
const HEADER_MAX_BYTES = 32 * 1024;

/** The HTTP server of the S3 endpoint. */
export class S3Listener extends HttpListener {
  constructor(app: Express, place: { readonly host: string; readonly port: number }) {
    const { request, response } = app as unknown as { request: Request; response: Response };
    const server = createServer(
      {
        maxHeaderSize: HEADER_MAX_BYTES,
        IncomingMessage: madeAs(IncomingMessage, request),
        ServerResponse: madeAs(ServerResponse, response),
      },
      app,
    );
    prepareS3Server(server);
    super(server, place, 'S3');
  }
}

/**
 * A constructor of what Express would make of it: Express gives each request and answer that comes in the prototypes of
 * its application, which makes all that is asked of them afterwards slower. These have them from the beginning.
 */
function madeAs<C extends typeof IncomingMessage | typeof ServerResponse>(base: C, prototype: object): C {
  function Made(...args: unknown[]): unknown {
    return Reflect.construct(base, args, Made);
  }
  Made.prototype = prototype;
  return Made as unknown as C;
}
