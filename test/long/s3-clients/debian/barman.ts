import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { DATA, lost, postgres, started, startPostgresql, whole } from './postgresql.js';

const TARGET = '--endpoint-url http://s3.example.com';
const WHERE = 's3://files/barman main';

export const barman: S3Client = {
  name: 'Barman',
  packages: { debian: ['barman-cli-cloud', 'python3-boto3', 'postgresql-15'] },
  configuration: [
    {
      language: 'sh',
      text: `barman-cloud-backup ${TARGET} ${WHERE}
# archive_command of PostgreSQL:
barman-cloud-wal-archive ${TARGET} ${WHERE} %p
# restore_command:
barman-cloud-wal-restore ${TARGET} ${WHERE} %f %p`,
    },
  ],
  works: [
    {
      en: '`barman-cloud-backup`, `barman-cloud-wal-archive`, `barman-cloud-restore`, `barman-cloud-wal-restore`: a lost PostgreSQL with the rows after the backup; `barman-cloud-backup-list`, `barman-cloud-backup-delete`',
      zh: '`barman-cloud-backup`、`barman-cloud-wal-archive`、`barman-cloud-restore`、`barman-cloud-wal-restore`:恢复丢失的 PostgreSQL 并包含备份之后的数据;`barman-cloud-backup-list`、`barman-cloud-backup-delete`',
      check: async (place) => {
        await startPostgresql(place, `barman-cloud-wal-archive ${TARGET} ${WHERE} %p`);
        await postgres(place, `barman-cloud-backup ${TARGET} --immediate-checkpoint -z ${WHERE}`);
        await lost(place);
        const list = await postgres(place, `barman-cloud-backup-list --format json ${TARGET} ${WHERE}`);
        const [backup] = (JSON.parse(list) as { backups_list: { backup_id: string }[] }).backups_list;
        await postgres(
          place,
          `barman-cloud-restore ${TARGET} ${WHERE} ${backup!.backup_id} ${DATA}
           echo "restore_command = 'barman-cloud-wal-restore ${TARGET} ${WHERE} %f %p'" >>${DATA}/postgresql.conf
           touch ${DATA}/recovery.signal`,
        );
        await started(place);
        await whole(place);
        await postgres(
          place,
          `barman-cloud-backup-delete ${TARGET} --backup-id ${backup!.backup_id} ${WHERE}`,
        );
        assert.deepEqual(await place.keys('barman/main/base/'), []);
      },
    },
  ],
  limits: [],
};
