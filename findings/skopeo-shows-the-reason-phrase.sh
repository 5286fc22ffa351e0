#!/usr/bin/env bash
# skopeo 1.9.3 (Debian 12; containers/image, as in podman and buildah): of an answer 5xx to a push the terminal shows
# the status line with the server's own reason phrase, and not the message of its JSON body; of a 4xx the message, and
# not the phrase. Nothing but skopeo and a small HTTP server of Python's library.
set -euo pipefail
VERSION=1.9.3+ds1-1+b10
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
for tool in apt-get dpkg-deb python3; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
apt-get download -qq "skopeo=$VERSION" >/dev/null 2>&1 || { echo "skopeo=$VERSION cannot be fetched" >&2; exit 2; }
dpkg-deb -x skopeo_*.deb root
# The library that Debian's skopeo is linked with, where it is not installed.
for library in libgpgme11 libassuan0 libgpg-error0 libdevmapper1.02.1; do
  ldconfig -p | grep -q "${library%%[0-9]*}" || { apt-get download -qq "$library" >/dev/null 2>&1 && dpkg-deb -x "$library"_*.deb root || :; }
done

cat >server.py <<'P'
import http.server, sys
STATUS = int(sys.argv[1])
class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def answer(self, status, phrase, body=b''):
        self.send_response(status, phrase)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def do_GET(self): self.answer(200, 'OK', b'{}')
    def do_HEAD(self): self.answer(404, 'Not Found')
    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.answer(STATUS, 'Words Of The Phrase', b'{"errors":[{"code":"UNAVAILABLE","message":"words of the body"}]}')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Registry)
print(server.server_address[1], file=open('port', 'w'), flush=True)
server.serve_forever()
P
mkdir -p image
printf '{}' >config
hex() { sha256sum "$1" | cut -d' ' -f1; }
head -c 100 /dev/zero | gzip -n >layer
cp config "image/$(hex config)"
cp layer "image/$(hex layer)"
printf 'Directory Transport Version: 1.1\n' >image/version
printf '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%s,"digest":"sha256:%s"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \
  "$(stat -c %s config)" "$(hex config)" "$(stat -c %s layer)" "$(hex layer)" >image/manifest.json

for status in 503 403; do
  rm -f port
  python3 server.py "$status" &
  pids+=($!)
  for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
  LD_LIBRARY_PATH=$(echo root/usr/lib/*-linux-gnu) no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 HOME=$work \
    root/usr/bin/skopeo copy -q --insecure-policy --retry-times 0 --dest-tls-verify=false \
    dir:image "docker://127.0.0.1:$(cat port)/a:v1" >"shown-$status" 2>&1 || :
done
of503=$(cat shown-503)
of403=$(cat shown-403)

echo "skopeo $VERSION"
echo "503: $of503"
echo "403: $of403"
case $of503 in *'words of the body'*) echo 'changed: the body of a 503 is shown' >&2; exit 1 ;; *'503 Words Of The Phrase'*) ;; *) echo 'changed: 503' >&2; exit 1 ;; esac
case $of403 in *'Words Of The Phrase'*) echo 'changed: the phrase of a 403 is shown' >&2; exit 1 ;; *'words of the body'*) ;; *) echo 'changed: 403' >&2; exit 1 ;; esac
echo 'as known: of a 5xx the reason phrase is shown, of a 4xx the message'
