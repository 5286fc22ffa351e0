import type { S3Client } from '../client.js';

const OPEN = `import boto3
from smart_open import open

client = boto3.client("s3", endpoint_url="http://s3.example.com")

def s3(name, mode):
    return open("s3://files/" + name, mode, transport_params={"client": client})`;

export const smartOpen: S3Client = {
  name: 'smart_open',
  packages: { debian: ['python3-smart-open', 'python3-boto3'] },
  configuration: [{ language: 'python', text: OPEN }],
  works: [
    {
      en: 'streams written (multipart) and read, gzip by name, seeking',
      zh: '流式写入(分片)与读取、按名称 gzip、随机定位',
      check: (place) =>
        place.script(
          'python3',
          `${OPEN}

with s3("lines.gz", "w") as f:
    for i in range(100000):
        f.write("%d\\n" % i)
assert sum(int(line) for line in s3("lines.gz", "r")) == 4999950000
large = bytes(range(256)) * 250000
with s3("large", "wb") as f:
    f.write(large)
with s3("large", "rb") as f:
    f.seek(60000000)
    assert f.read(100) == large[60000000:60000100]
    f.seek(0)
    assert f.read() == large
`,
        ),
    },
  ],
  limits: [],
};
