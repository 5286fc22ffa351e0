import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL, type Place } from '../place.js';

const MOUNT = `mkdir -p ~/mnt
s3fs files ~/mnt -o url=http://s3.example.com -o use_path_request_style \\
  -o endpoint=us-east-1 -o multipart_size=10`;

/** Anew, so that nothing comes from its caches. */
async function remounted(place: Place): Promise<void> {
  await place.sh(`! mountpoint -q ~/mnt || umount ~/mnt; ${MOUNT}`);
}

export const s3fs: S3Client = {
  name: 's3fs',
  packages: { debian: ['s3fs'] },
  configuration: [
    { file: '.passwd-s3fs', language: 'text', text: 'ACCESS_KEY_ID:SECRET_ACCESS_KEY' },
    { language: 'sh', text: MOUNT },
  ],
  prepare: async (place) => {
    await place.write('large', LARGE);
    place.atEnd(() => place.trySh('umount -l ~/mnt'));
    await remounted(place);
  },
  works: [
    {
      en: 'files and directories, written and read',
      zh: '文件与目录的读写',
      check: async (place) => {
        await place.sh(`mkdir ~/mnt/d; printf 'hello, S3\\n' >~/mnt/d/small; cp ~/large ~/mnt/d/large`);
        await place.has('d/small', SMALL);
        await place.has('d/large', LARGE);
        await remounted(place);
        await place.sh('cp ~/mnt/d/large ~/back; ls ~/mnt/d');
        await place.same('back', LARGE);
      },
    },
    {
      en: 'rename, truncate, append, times and owners (kept as metadata)',
      zh: '改名、截断、追加、时间与属主(存为元数据)',
      check: async (place) => {
        await place.sh(`cd ~/mnt/d; mv large moved; truncate -s 7 moved; printf more >>moved;
          chown 12:34 moved; chmod 640 moved; touch -d @1700000000 moved`);
        await remounted(place);
        assert.equal(await place.sh(`stat -c '%u:%g %a %Y %s' ~/mnt/d/moved`), '12:34 640 1700000000 11\n');
        await place.has('d/moved', Buffer.concat([LARGE.subarray(0, 7), Buffer.from('more')]));
        await place.gone('d/large');
      },
    },
    {
      en: 'a change in the middle of a large file sends the rest by copying parts',
      zh: '大文件中间修改时,其余部分由服务端复制分片',
      check: async (place) => {
        await place.sh(`cp ~/large ~/mnt/again; printf XXXX |
          dd of=~/mnt/again bs=1 seek=11000000 conv=notrunc status=none`);
        const changed = Buffer.from(LARGE);
        changed.write('XXXX', 11_000_000);
        await place.has('again', changed);
      },
    },
    {
      en: 'removal of trees',
      zh: '删除目录树',
      check: async (place) => {
        await place.sh('rm -r ~/mnt/d ~/mnt/again');
        assert.deepEqual(await place.keys(), []);
      },
    },
  ],
  limits: [],
};
