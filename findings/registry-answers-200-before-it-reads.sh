#!/usr/bin/env bash
# docker-registry 2.8.2 (Debian 12), driver s3: where the storage answers the read of a layer with 503, the client of
# the registry is told 200 with the whole Content-Length, and gets no byte; a manifest is told 500. Nothing but the
# registry, curl and a small HTTP server of Python's library that answers like S3.
set -euo pipefail
VERSION=2.8.2+ds1-1
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
for tool in apt-get dpkg-deb python3 curl; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
apt-get download -qq "docker-registry=$VERSION" >/dev/null 2>&1 || { echo "docker-registry=$VERSION cannot be fetched" >&2; exit 2; }
dpkg-deb -x docker-registry_*.deb root

# One repository `a` with one blob, whose bytes the storage can't give at the moment; its link can be read.
cat >server.py <<'P'
import http.server, urllib.parse
HEX = 'ab' * 32
V2 = '/b/docker/registry/v2/'
LINK = 'sha256:' + HEX
DATA = V2 + 'blobs/sha256/ab/' + HEX + '/data'
kept = {V2 + place + '/sha256/' + HEX + '/link': LINK.encode()
        for place in ('repositories/a/_layers', 'repositories/a/_manifests/revisions')}
kept[DATA] = bytes(1000)
class S3(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def answer(self, status, body=b''):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        path, _, query = self.path.partition('?')
        prefix = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)).get('prefix')
        if prefix is not None:
            rows = ''.join(f'<Contents><Key>{k[3:]}</Key><Size>{len(v)}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>'
                           for k, v in kept.items() if k.startswith('/b/' + prefix))
            return self.answer(200, f'<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>'.encode())
        if path == DATA: return self.answer(503, b'<Error><Code>SlowDown</Code><Message>later</Message></Error>')
        if path in kept: return self.answer(200, kept[path])
        self.answer(404, b'<Error><Code>NoSuchKey</Code><Message>no</Message></Error>')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), S3)
print(server.server_address[1], file=open('port', 'w'), flush=True)
server.serve_forever()
P
python3 server.py &
pids+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config.yml <<Y
version: 0.1
log: { level: error }
storage:
  s3: { accesskey: AKEXAMPLE, secretkey: secretsecret, region: us-east-1, regionendpoint: "http://127.0.0.1:$(cat port)", bucket: b, secure: false, v4auth: true }
  redirect: { disable: true }
http: { addr: "127.0.0.1:$port", secret: x }
Y
env -u AWS_CA_BUNDLE no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 root/usr/bin/docker-registry serve config.yml >registry.log 2>&1 &
pids+=($!)
for _ in $(seq 100); do curl -sf --noproxy '*' -o answer "http://127.0.0.1:$port/v2/" && break; sleep 0.1; done
digest=sha256:$(printf 'ab%.0s' $(seq 32))
ask() { curl -s --noproxy '*' -o answer -w "%{http_code}, Content-Length %header{content-length}, %{size_download} bytes, curl ends with %{exitcode}" "http://127.0.0.1:$port/v2/a/$1/$digest" || :; }
layer=$(ask blobs)
manifest=$(ask manifests)

echo "docker-registry $VERSION, storage that answers reads of the bytes with 503"
echo "layer: $layer"
echo "manifest: $manifest"
case $layer in '200, Content-Length 1000, 0 bytes, curl ends with 18') ;; *) echo 'changed: the layer' >&2; exit 1 ;; esac
case $manifest in 500,*) ;; *) echo 'changed: the manifest' >&2; exit 1 ;; esac
echo 'as known: a layer is answered before it is read, a manifest after'
