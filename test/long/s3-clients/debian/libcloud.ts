import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const DRIVER = `import os
from libcloud.storage.providers import get_driver
from libcloud.storage.types import Provider

driver = get_driver(Provider.S3)(
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"],
    host="s3.example.com", port=80, secure=False, region="us-east-1",
)`;

export const libcloud: S3Client = {
  name: 'Apache Libcloud',
  packages: { debian: ['python3-libcloud'] },
  configuration: [{ language: 'python', text: DRIVER }],
  works: [
    {
      en: 'upload from file and stream (multipart), download, partial download, lists, links, deletion',
      zh: '从文件和流上传(分片)、下载、部分下载、列表、链接、删除',
      check: (place) =>
        place.script(
          'python3',
          `${DRIVER}
import urllib.request
large = bytes(range(256)) * 50000
container = driver.get_container("files")
open("large", "wb").write(large)
container.upload_object("large", "in/file", extra={"meta_data": {"colour": "blue"}})
driver.upload_object_via_stream(iter([large[:6000000], large[6000000:]]), container, "in/stream +")
names = [o.name for o in container.list_objects(prefix="in/")]
assert names == ["in/file", "in/stream +"], names
for name in "in/file", "in/stream +":
    thing = container.get_object(name)
    assert b"".join(thing.as_stream()) == large
    assert b"".join(driver.download_object_range_as_stream(thing, 100, 200)) == large[100:200]
    assert urllib.request.urlopen(driver.get_object_cdn_url(thing)).read() == large
assert container.get_object("in/file").meta_data["colour"] == "blue"
for thing in list(container.list_objects()):
    assert thing.delete()
assert container.list_objects() == []
`,
        ),
    },
  ],
  limits: [
    {
      en: 'lists of few names outside ASCII: it guesses the character set, as its HTTP library does where, as with S3, the answer names none',
      zh: '列表中少量非 ASCII 的名称会乱码:应答与 S3 一样不带字符集,它靠猜测',
      check: async (place) => {
        await place.put('ü', 'x');
        const names = await place.script(
          'python3',
          `${DRIVER}
print([o.name for o in driver.get_container("files").list_objects()])`,
        );
        assert.equal(names, "['Ã¼']\n");
      },
    },
  ],
};
