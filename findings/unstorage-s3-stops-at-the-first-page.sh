#!/usr/bin/env bash
# unstorage 1.17.6, driver s3: getKeys asks for one page of the list and leaves out the rest, though the answer says that it
# is truncated and how to go on; clear deletes what it was told so, and leaves the rest. Neither says anything. Seen here: of
# 1,200 keys 1,000 are told, and 200 are there after clear.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in node npm; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
npm install --no-audit --no-fund --loglevel=error unstorage@1.17.6 aws4fetch@1.0.20 >/dev/null 2>&1 \
  || { echo 'the packages cannot be fetched' >&2; exit 2; }
cat >seen.mjs <<'J'
import http from 'node:http';
import { createStorage } from 'unstorage';
import s3Driver from 'unstorage/drivers/s3';
// As much of S3 as lists in pages and DeleteObjects need.
const keys = new Set(Array.from({ length: 1200 }, (_, i) => `k${String(i).padStart(4, '0')}`));
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://s3');
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  response.setHeader('Content-Type', 'application/xml');
  if (request.method === 'POST') {
    for (const [, key] of Buffer.concat(pieces).toString().matchAll(/<Key>([^<]*)<\/Key>/g)) keys.delete(key);
    return response.end('<DeleteResult></DeleteResult>');
  }
  const after = url.searchParams.get('continuation-token') ?? url.searchParams.get('marker') ?? '';
  const rest = [...keys].filter((key) => key > after);
  const page = rest.slice(0, 1000);
  response.end(
    `<?xml version="1.0"?><ListBucketResult><Name>files</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys>` +
      `<KeyCount>${page.length}</KeyCount><IsTruncated>${rest.length > page.length}</IsTruncated>` +
      (rest.length > page.length ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '') +
      page.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('') +
      '</ListBucketResult>',
  );
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const storage = createStorage({
  driver: s3Driver({
    ...{ accessKeyId: 'a', secretAccessKey: 'b', bucket: 'files', region: 'us-east-1' },
    endpoint: `http://127.0.0.1:${server.address().port}`,
  }),
});
console.log(`getKeys: ${(await storage.getKeys()).length} of ${keys.size}`);
await storage.clear();
console.log(`after clear: ${keys.size} left`);
server.close();
server.closeAllConnections();
J
expected='getKeys: 1000 of 1200
after clear: 200 left'
seen=$(node seen.mjs)
printf 'node %s, unstorage 1.17.6\n%s\n' "$(node --version)" "$seen"
[ "$seen" = "$expected" ] || { printf 'this has changed; expected:\n%s\n' "$expected" >&2; exit 1; }
