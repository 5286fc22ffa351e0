import { createServer, type RequestListener } from 'node:http';
import { prepareS3Server } from '../s3/endpoint.js';
import { HttpListener } from './http-listener.js';

/** Large enough for 2 KiB of user metadata and a long presigned query; S3 itself takes 8 KiB. */
const HEADER_MAX_BYTES = 32 * 1024;

/** The HTTP server of the S3 endpoint. */
export class S3Listener extends HttpListener {
  constructor(app: RequestListener, place: { readonly host: string; readonly port: number }) {
    const server = createServer({ maxHeaderSize: HEADER_MAX_BYTES }, app);
    prepareS3Server(server);
    super(server, place, 'S3');
  }
}
