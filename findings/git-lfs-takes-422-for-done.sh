#!/usr/bin/env bash
# git-lfs 3.3.0 (Debian 12): an upload that the storage answers with 422 counts as done: `git push` ends with
# status 0, the branch is on the server, the object is nowhere. With 403 the push fails. Nothing but git, git-lfs and a
# small HTTP server of Python's library that speaks the batch API.
set -euo pipefail
VERSION=3.3.0-1+deb12u2
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
for tool in apt-get dpkg-deb python3 git; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
apt-get download -qq "git-lfs=$VERSION" >/dev/null 2>&1 || { echo "git-lfs=$VERSION cannot be fetched" >&2; exit 2; }
dpkg-deb -x git-lfs_*.deb root
export PATH="$work/root/usr/bin:$PATH" HOME="$work" GIT_CONFIG_NOSYSTEM=1 no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 GIT_TERMINAL_PROMPT=0

cat >server.py <<'P'
import http.server, json, sys
puts = {}
class Lfs(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def body(self): return self.rfile.read(int(self.headers.get('Content-Length') or 0))
    def answer(self, status, document):
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/vnd.git-lfs+json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def do_POST(self):
        asked = json.loads(self.body() or b'{}')
        if not self.path.endswith('/objects/batch'): return self.answer(404, {'message': 'no locks here'})
        status = self.path.split('/')[1]
        link = f'http://127.0.0.1:{self.server.server_address[1]}/{status}/data/'
        objects = [{'oid': o['oid'], 'size': o['size'], 'actions': {'upload': {'href': link + o['oid']}}} for o in asked['objects']]
        self.answer(200, {'transfer': 'basic', 'objects': objects})
    def do_PUT(self):
        self.body()
        status = self.path.split('/')[1]
        puts[status] = puts.get(status, 0) + 1
        self.answer(int(status), {'message': 'not stored'})
    def do_GET(self): self.answer(200, puts)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Lfs)
print(server.server_address[1], file=open('port', 'w'), flush=True)
server.serve_forever()
P
python3 server.py &
pids+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

push() { # STATUS: prints the exit status of git push, and whether the branch arrived
  local status=$1 code=0
  git init -q --bare "remote-$status"
  git init -q -b main "clone-$status"
  cd "clone-$status"
  git config user.name Somebody; git config user.email somebody@example.com
  git config lfs.url "http://127.0.0.1:$(cat ../port)/$status"; git config lfs.locksverify false
  git config lfs.transfer.maxretries 1
  git lfs install --local >../out 2>&1
  git lfs track '*.bin' >../out 2>&1
  printf 'an object of status %s' "$status" >a.bin
  git add . && git commit -q -m 'An object'
  git remote add origin "$work/remote-$status"
  git push -q origin main >"../push-$status" 2>&1 || code=$?
  cd ..
  echo "storage answers $status: git push ends with $code, branch on the server: $(git -C "remote-$status" rev-parse -q --verify main >/dev/null && echo yes || echo no)"
}
{ push 422; push 403; } >seen
echo "git-lfs $VERSION"
cat seen
grep -qx 'storage answers 422: git push ends with 0, branch on the server: yes' seen &&
  grep -q '^storage answers 403: git push ends with [1-9].*: no$' seen ||
  { echo 'changed: 422 was done, 403 was a failure' >&2; exit 1; }
echo 'as known: 422 counts as done'
