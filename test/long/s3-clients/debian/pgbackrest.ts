import type { S3Client } from '../client.js';
import { DATA, lost, postgres, started, startPostgresql, whole } from './postgresql.js';

const PGBACKREST = 'pgbackrest --config="$HOME/pgbackrest.conf" --stanza=main';

export const pgbackrest: S3Client = {
  name: 'pgBackRest',
  packages: { debian: ['pgbackrest', 'postgresql-15'] },
  https: 'HTTP/2',
  configuration: [
    {
      file: 'pgbackrest.conf',
      language: 'ini',
      text: `[global]
repo1-type=s3
repo1-path=/pgbackrest
repo1-s3-bucket=files
repo1-s3-endpoint=s3.example.com
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-key=ACCESS_KEY_ID
repo1-s3-key-secret=SECRET_ACCESS_KEY
repo1-retention-full=1
repo1-bundle=y
log-level-file=off

[main]
pg1-path=${DATA}`,
    },
  ],
  works: [
    {
      en: 'archive, full and incremental backup, `verify`, `expire`, restore of a lost PostgreSQL with the rows after the backup (HTTPS only)',
      zh: '归档、全量与增量备份、`verify`、`expire`,恢复丢失的 PostgreSQL 并包含备份之后的数据(只支持 HTTPS)',
      check: async (place) => {
        await startPostgresql(
          place,
          `pgbackrest --config=${place.path('pgbackrest.conf')} --stanza=main archive-push %p`,
        );
        const sockets = '--pg1-socket-path="$HOME"';
        await postgres(
          place,
          `${PGBACKREST} ${sockets} stanza-create
           ${PGBACKREST} ${sockets} check
           ${PGBACKREST} ${sockets} --type=full --start-fast backup
           psql -qc "create table u as select 1"
           ${PGBACKREST} ${sockets} --type=incr --start-fast backup
           ${PGBACKREST} ${sockets} --type=full --start-fast backup
           ${PGBACKREST} verify`,
        );
        await lost(place);
        await postgres(place, `mkdir -m 700 ${DATA}; ${PGBACKREST} restore`);
        await started(place);
        await whole(place);
      },
    },
  ],
  limits: [],
};
