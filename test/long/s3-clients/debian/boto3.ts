import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const BOTO3 = `import boto3
from botocore.config import Config

s3 = boto3.client("s3", endpoint_url="http://s3.example.com", config=Config(signature_version="s3v4"))`;

export const boto3: S3Client = {
  name: 'boto3',
  packages: { debian: ['python3-boto3', 'python3-s3transfer'] },
  configuration: [{ language: 'python', text: BOTO3 }],
  works: [
    {
      en: 'transfers (multipart, in threads), ranges, copies, conditional reads, presigned links and forms, pages, deletion of many',
      zh: '多线程分片传输、范围读取、复制、条件读取、预签名链接与表单、分页、批量删除',
      check: (place) =>
        place.script(
          'python3',
          `${BOTO3}
import io, urllib.request, requests
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
large = bytes(range(256)) * 60000
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
s3.upload_fileobj(io.BytesIO(large), "files", "in/large", Config=config, ExtraArgs={"Metadata": {"colour": "blue"}})
back = io.BytesIO()
s3.download_fileobj("files", "in/large", back, Config=config)
assert back.getvalue() == large
assert s3.get_object(Bucket="files", Key="in/large", Range="bytes=5-9")["Body"].read() == large[5:10]
s3.copy({"Bucket": "files", "Key": "in/large"}, "files", "in/copy", Config=config)
assert s3.head_object(Bucket="files", Key="in/large")["Metadata"] == {"colour": "blue"}
head = s3.head_object(Bucket="files", Key="in/copy")
assert head["ContentLength"] == len(large)
try:
    s3.get_object(Bucket="files", Key="in/copy", IfNoneMatch=head["ETag"])
    raise Exception("304 expected")
except ClientError as e:
    assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 304
link = s3.generate_presigned_url("get_object", Params={"Bucket": "files", "Key": "in/copy"})
assert urllib.request.urlopen(link).read() == large
form = s3.generate_presigned_post("files", "in/form")
assert requests.post(form["url"], data=form["fields"], files={"file": b"hello"}).status_code == 204
for i in range(25):
    s3.put_object(Bucket="files", Key=f"many/{i:02}", Body=b"x")
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="files", Prefix="many/", PaginationConfig={"PageSize": 10}))
assert [len(p["Contents"]) for p in pages] == [10, 10, 5]
keys = [{"Key": c["Key"]} for p in s3.get_paginator("list_objects_v2").paginate(Bucket="files") for c in p["Contents"]]
assert len(s3.delete_objects(Bucket="files", Delete={"Objects": keys})["Deleted"]) == 28
`,
        ),
    },
  ],
  limits: [
    {
      en: 'presigned links without `signature_version="s3v4"`: for us-east-1 it makes them with Signature Version 2, which is refused',
      zh: '未设置 `signature_version="s3v4"` 时的预签名链接:对 us-east-1 它使用 Signature Version 2,被拒绝',
      check: async (place) => {
        const link = await place.script(
          'python3',
          `${BOTO3.replace(/, config.*\)/, ')')}
print(s3.generate_presigned_url("get_object", Params={"Bucket": "files", "Key": "k"}), end="")`,
        );
        assert.match(link, /Signature=/);
        assert.match(await place.sh(`curl -s '${link}'`), /AWS4-HMAC-SHA256/);
      },
    },
  ],
};
