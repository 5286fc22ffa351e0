import type { S3Client } from '../client.js';

const CONNECTION = `import boto
from boto.s3.connection import OrdinaryCallingFormat, S3Connection

boto.config.add_section("s3")
boto.config.set("s3", "use-sigv4", "True")
s3 = S3Connection(host="s3.example.com", port=80, is_secure=False, calling_format=OrdinaryCallingFormat())`;

export const boto: S3Client = {
  name: 'boto (2)',
  packages: { debian: ['python3-boto'] },
  configuration: [{ language: 'python', text: CONNECTION }],
  works: [
    {
      en: 'put, get, multipart, lists, deletion of many',
      zh: '上传、下载、分片、列表、批量删除',
      check: (place) =>
        place.script(
          'python3',
          `${CONNECTION}
import io
bucket = s3.get_bucket("files")
large = bytes(range(256)) * 50000
bucket.new_key("in/small").set_contents_from_string("hello")
upload = bucket.initiate_multipart_upload("in/large")
upload.upload_part_from_file(io.BytesIO(large[:6000000]), 1)
upload.upload_part_from_file(io.BytesIO(large[6000000:]), 2)
upload.complete_upload()
assert bucket.get_key("in/large").get_contents_as_string() == large
assert [k.name for k in bucket.list("in/")] == ["in/large", "in/small"]
assert not bucket.delete_keys(["in/large", "in/small"]).errors
assert list(bucket.list()) == []
`,
        ),
    },
  ],
  limits: [],
};
