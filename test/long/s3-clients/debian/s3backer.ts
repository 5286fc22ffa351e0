import assert from 'node:assert/strict';
import { until } from '../../../support/child.js';
import type { S3Client } from '../client.js';
import type { Place } from '../place.js';

const OPTIONS = `--baseURL=http://s3.example.com/ --accessFile=$HOME/.s3backer_passwd \\
  --blockSize=128k --size=64m --prefix=disk/ --listBlocks`;
const MOUNT = `mkdir -p ~/disk
s3backer ${OPTIONS} files ~/disk
mkfs.ext4 -q -F ~/disk/file`;

/** It writes on after umount has returned. */
async function unmounted(place: Place): Promise<void> {
  await place.sh('umount ~/disk');
  await until('s3backer has ended', async () => (await place.trySh('pgrep -x s3backer')).code !== 0);
}

export const s3backer: S3Client = {
  name: 's3backer',
  packages: { debian: ['s3backer', 'e2fsprogs', 'fuse'] },
  configuration: [
    { file: '.s3backer_passwd', language: 'text', text: 'ACCESS_KEY_ID:SECRET_ACCESS_KEY' },
    { language: 'sh', text: MOUNT },
  ],
  prepare: async (place) => {
    place.atEnd(() => place.trySh('umount -l ~/disk'));
    await place.sh(MOUNT);
  },
  works: [
    {
      en: 'a disk of blocks with a file system in it, whole after it was mounted anew (`--listBlocks`)',
      zh: '块设备及其中的文件系统,重新挂载(`--listBlocks`)后完好',
      check: async (place) => {
        await place.sh(`seq 1 2000000 >lines; debugfs -w -R 'write lines lines' disk/file`);
        await unmounted(place);
        await place.sh(`s3backer ${OPTIONS} files ~/disk
          e2fsck -f -n disk/file; debugfs -R 'dump lines back' disk/file; cmp lines back`);
        assert.ok((await place.keys('disk/')).length > 100);
      },
    },
    {
      en: '`--erase`',
      zh: '`--erase` 清除',
      check: async (place) => {
        await unmounted(place);
        await place.sh(`s3backer ${OPTIONS} --erase --force files`);
        assert.deepEqual(await place.keys('disk/'), []);
      },
    },
  ],
  limits: [
    {
      en: 'another region than `us-east-1` without `s3.domain`: `--region` makes it address the bucket as a host name',
      zh: '未设置 `s3.domain` 时无法使用 `us-east-1` 以外的区域:`--region` 会使它把存储桶当作主机名访问',
      check: async (place) => {
        const mount = `mkdir -p ~/other; s3backer ${OPTIONS.replace('disk/', 'other/')}`;
        const { code, stderr } = await place.trySh(`${mount} --region=us-east-1 files ~/other`);
        assert.notEqual(code, 0, stderr);
        await place.sh(`${mount} files ~/other; umount ~/other`);
      },
    },
  ],
};
