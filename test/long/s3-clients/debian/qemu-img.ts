import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { S3Client } from '../client.js';
import { LARGE } from '../place.js';

const CONVERT = 'qemu-img convert -m 1 -O raw http://s3.example.com/files/disk.qcow2 disk.raw';

export const qemuImg: S3Client = {
  name: 'qemu-img',
  packages: { debian: ['qemu-utils', 'qemu-block-extra', 'awscli'] },
  publicRead: true,
  configuration: [{ language: 'sh', text: `# A bucket with public_read: true.\n${CONVERT}` }],
  prepare: async (place) => {
    await place.write('disk', LARGE);
    await place.sh('truncate -s 21M disk; qemu-img convert -O qcow2 disk disk.qcow2');
    await place.put('disk.qcow2', await place.read('disk.qcow2'));
  },
  works: [
    {
      en: 'images of a public bucket as `http` or `https`: `convert -m 1`, `info`, and as the backing file of another, with ranges',
      zh: '以 `http` 或 `https` 读取公开存储桶中的镜像:`convert -m 1`、`info`、作为其他镜像的后端文件(范围请求)',
      check: async (place) => {
        await place.sh(`${CONVERT}; cmp disk disk.raw
          qemu-img info http://s3.example.com/files/disk.qcow2 | grep -q 'virtual size: 21 MiB'
          qemu-img create -q -f qcow2 -F qcow2 -b http://s3.example.com/files/disk.qcow2 over.qcow2
          qemu-io -c 'read -v 20971520 1' over.qcow2 >/dev/null
          qemu-img compare disk over.qcow2`);
        assert.equal(
          createHash('sha256')
            .update((await place.read('disk')).subarray(0, LARGE.length))
            .digest('hex'),
          createHash('sha256').update(LARGE).digest('hex'),
        );
      },
    },
  ],
  limits: [
    {
      en: 'presigned links: it asks with HEAD first, for which the link of a GET is not signed',
      zh: '预签名链接:它先发 HEAD 请求,而 GET 链接的签名对 HEAD 无效',
      check: async (place) => {
        const link = '$(aws --endpoint-url http://s3.example.com s3 presign s3://files/disk.qcow2)';
        await place.sh(`curl -sf -o by-get "${link}"; cmp by-get disk.qcow2`);
        const { code, stderr } = await place.trySh(`qemu-img convert -m 1 -O raw "${link}" other.raw`);
        assert.notEqual(code, 0);
        assert.match(stderr, /403/);
      },
    },
    {
      en: 'writing: its `http` driver only reads',
      zh: '写入:其 `http` 驱动只读',
      check: async (place) => {
        const { code } = await place.trySh(
          'qemu-img convert -O qcow2 disk http://s3.example.com/files/new.qcow2',
        );
        assert.notEqual(code, 0);
        await place.gone('new.qcow2');
      },
    },
  ],
};
