#!/usr/bin/env bash
# @aws-lite/client 0.24.1 with @aws-lite/s3 0.2.7: S3.Upload of a stream (Body) sends parts of ChunkSize. Where the stream
# gives more than that in one piece, the piece becomes one part after the other as far as whole ones can be cut from it;
# what is left of it at the end of the stream is not sent, and Upload is done without an error. Seen here: 10485760 of
# 12582913 bytes for one piece, all of them for pieces of 64 KiB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in node npm; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
npm install --no-audit --no-fund --loglevel=error @aws-lite/client@0.24.1 @aws-lite/s3@0.2.7 >/dev/null 2>&1 \
  || { echo 'the packages cannot be fetched' >&2; exit 2; }
cat >seen.mjs <<'J'
import http from 'node:http';
import { Readable } from 'node:stream';
import awsLite from '@aws-lite/client';
import s3 from '@aws-lite/s3';
// As much of S3 as an upload in parts needs; it counts the bytes of the parts.
let bytes = 0;
const server = http.createServer((request, response) => {
  request.on('data', (piece) => (bytes += request.method === 'PUT' ? piece.length : 0));
  request.on('end', () => {
    const root = request.url.includes('uploads') ? 'InitiateMultipartUploadResult' : 'CompleteMultipartUploadResult';
    const body = request.method === 'PUT' ? '' : `<${root}><UploadId>u</UploadId><ETag>"e-1"</ETag></${root}>`;
    response.writeHead(200, { ETag: '"e"', 'Content-Type': 'application/xml' }).end(body);
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const aws = await awsLite({
  ...{ accessKeyId: 'a', secretAccessKey: 'b', region: 'us-east-1', plugins: [s3] },
  endpoint: `http://127.0.0.1:${server.address().port}`,
});
const all = Buffer.alloc(12 * 1024 * 1024 + 1);
const pieces = { 'one piece': [all], 'pieces of 64 KiB': [] };
for (let at = 0; at < all.length; at += 65_536) pieces['pieces of 64 KiB'].push(all.subarray(at, at + 65_536));
for (const [name, list] of Object.entries(pieces)) {
  bytes = 0;
  await aws.S3.Upload({ Bucket: 'files', Key: 'k', Body: Readable.from(list), ChunkSize: 5 * 1024 * 1024 });
  console.log(`${name}: ${bytes} of ${all.length} bytes`);
}
server.close();
server.closeAllConnections();
J
expected='one piece: 10485760 of 12582913 bytes
pieces of 64 KiB: 12582913 of 12582913 bytes'
seen=$(node seen.mjs)
printf 'node %s, @aws-lite/s3 0.2.7\n%s\n' "$(node --version)" "$seen"
[ "$seen" = "$expected" ] || { printf 'this has changed; expected:\n%s\n' "$expected" >&2; exit 1; }
