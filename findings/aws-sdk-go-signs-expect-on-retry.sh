#!/usr/bin/env bash
# docker-registry 2.8.2 (Debian 12), driver s3: aws-sdk-go v1 adds `Expect: 100-Continue` to a part of 2 MiB or more
# after it has signed the first try, and signs it when it repeats the request. Nothing but the registry, curl and a
# small HTTP server of Python's library that answers like S3: the first UploadPart 503 SlowDown, the second 200.
set -euo pipefail
VERSION=2.8.2+ds1-1
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
for tool in apt-get dpkg-deb python3 curl; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
apt-get download -qq "docker-registry=$VERSION" >/dev/null 2>&1 || { echo "docker-registry=$VERSION cannot be fetched" >&2; exit 2; }
dpkg-deb -x docker-registry_*.deb root

cat >server.py <<'P'
import http.server, re, urllib.parse
tries = 0
kept = {}
class S3(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def answer(self, status, body=b'', headers=()):
        self.send_response(status)
        for name, value in headers: self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def asked(self):
        path, _, query = self.path.partition('?')
        length = int(self.headers.get('Content-Length') or 0)
        return path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), self.rfile.read(length)
    def do_HEAD(self): self.answer(404)
    def do_GET(self):
        path, query, _ = self.asked()
        if 'uploads' in query:
            key = query['prefix']
            return self.answer(200, f'<ListMultipartUploadsResult><Upload><Key>{key}</Key><UploadId>u</UploadId></Upload><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>'.encode())
        if 'uploadId' in query:
            return self.answer(200, b'<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>')
        if path in kept: return self.answer(200, kept[path])
        rows = ''.join(f'<Contents><Key>{k[3:]}</Key><Size>{len(v)}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>'
                       for k, v in kept.items() if k.startswith('/b/' + query.get('prefix', '')))
        self.answer(200, f'<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>'.encode())
    def do_POST(self):
        path, query, _ = self.asked()
        if 'uploads' in query:
            return self.answer(200, b'<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')
        kept[path] = b''
        self.answer(200, b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
    def do_PUT(self):
        global tries
        path, query, body = self.asked()
        if 'partNumber' not in query:
            kept[path] = body
            return self.answer(200, headers=[('ETag', '"e"')])
        if not body: return self.answer(200, headers=[('ETag', '"e"')])
        tries += 1
        signed = re.search('SignedHeaders=([^,]*)', self.headers['Authorization']).group(1).split(';')
        print(f'try {tries}: Expect sent {self.headers.get("Expect", "-")}, signed {"yes" if "expect" in signed else "no"}', flush=True)
        if tries == 1:
            return self.answer(503, b'<Error><Code>SlowDown</Code><Message>later</Message></Error>')
        self.answer(200, headers=[('ETag', '"e"')])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), S3)
print(server.server_address[1], file=open('port', 'w'), flush=True)
server.serve_forever()
P
python3 server.py >seen &
pids+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config.yml <<Y
version: 0.1
log: { level: error }
storage:
  s3: { accesskey: AKEXAMPLE, secretkey: secretsecret, region: us-east-1, regionendpoint: "http://127.0.0.1:$(cat port)", bucket: b, secure: false, v4auth: true, chunksize: 5242880 }
http: { addr: "127.0.0.1:$port", secret: x }
Y
env -u AWS_CA_BUNDLE no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 root/usr/bin/docker-registry serve config.yml >registry.log 2>&1 &
pids+=($!)
for _ in $(seq 100); do curl -sf --noproxy '*' -o answer "http://127.0.0.1:$port/v2/" && break; sleep 0.1; done
head -c 3145728 /dev/zero >layer
location=$(curl -sS --noproxy '*' -X POST -D - -o answer "http://127.0.0.1:$port/v2/a/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
# Whatever this answers: the server above is too small to end an upload. What it saw of the part counts.
curl -sS --noproxy '*' -o answer -X PATCH -H 'Content-Type: application/octet-stream' --data-binary @layer "$location" || :

echo "docker-registry $VERSION"
cat seen
expected='try 1: Expect sent 100-Continue, signed no
try 2: Expect sent 100-Continue, signed yes'
[ "$(head -n 2 seen)" = "$expected" ] || { printf 'changed: expected\n%s\n' "$expected" >&2; exit 1; }
echo 'as known: the first try does not sign Expect, the repetition does'
