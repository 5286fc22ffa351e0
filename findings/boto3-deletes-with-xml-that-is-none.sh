#!/usr/bin/env bash
# boto3 1.43.107: DeleteObjects with a key that has U+0001, which S3 allows in keys, sends it as it is. XML 1.0 has no way
# to write that character, so the body is not well-formed, and a conforming parser (expat here) reads none of its keys,
# also not those beside it. U+000D and U+0085 are written as references, and come through.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v python3 >/dev/null || { echo 'needs python3 with venv' >&2; exit 2; }
cd "$work"
python3 -m venv venv >/dev/null
venv/bin/pip install --quiet boto3==1.43.107 botocore==1.43.107 >/dev/null 2>&1 \
  || { echo 'the packages cannot be fetched' >&2; exit 2; }
cat >seen.py <<'P'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from xml.parsers import expat

import boto3

bodies = []


class S3(BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(self.rfile.read(int(self.headers['Content-Length'])))
        answer = b'<DeleteResult/>'
        self.send_response(200)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = HTTPServer(('127.0.0.1', 0), S3)
threading.Thread(target=server.serve_forever, daemon=True).start()
s3 = boto3.client('s3', endpoint_url=f'http://127.0.0.1:{server.server_port}', region_name='us-east-1',
                  aws_access_key_id='a', aws_secret_access_key='b')
for name, key in (('U+0020', 'a b'), ('U+0001', 'a\x01b'), ('U+000D', 'a\rb'), ('U+0085', 'a\x85b')):
    s3.delete_objects(Bucket='files', Delete={'Objects': [{'Key': 'first'}, {'Key': key}], 'Quiet': True})
    keys, text = [], []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda *_: text.clear()
    parser.CharacterDataHandler = text.append
    parser.EndElementHandler = lambda tag: tag == 'Key' and keys.append(''.join(text))
    try:
        parser.Parse(bodies[-1], True)
        print(f'{name}:', 'the same keys' if keys == ['first', key] else keys)
    except expat.ExpatError as error:
        print(f'{name}:', expat.ErrorString(error.code))
P
no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 venv/bin/python seen.py | tee seen.txt
diff seen.txt - <<'E'
U+0020: the same keys
U+0001: not well-formed (invalid token)
U+000D: the same keys
U+0085: the same keys
E
