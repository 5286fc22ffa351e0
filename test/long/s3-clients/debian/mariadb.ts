import assert from 'node:assert/strict';
import { until } from '../../../support/child.js';
import type { S3Client } from '../client.js';
import type { Place } from '../place.js';

const USER = 'mysql';
const SQL = 'mariadb --no-defaults --socket="$HOME/socket" test -N -e';

/** The server, as its own user, with what Debian has in /etc/mysql and the configuration of the engine. */
async function withMariadb(place: Place, check: () => Promise<unknown>, more = ''): Promise<void> {
  const child = place.daemon(
    `mariadbd --defaults-file="$HOME/s3.cnf" --datadir="$HOME/data" --socket="$HOME/socket" --skip-networking ${more}`,
    { user: USER, log: 'mariadb.log' },
  );
  await until('MariaDB answers', async () => {
    if (!child.running) throw new Error(await child.lastWords());
    return (await place.trySh(`${SQL} 'select 1'`)).code === 0;
  });
  try {
    await check();
  } finally {
    await child.stop();
  }
}

const TABLE = 'seq_1_to_500000';
const SUM = 'select count(*), sum(crc32(m))';

export const mariadb: S3Client = {
  name: 'MariaDB S3 engine',
  packages: { debian: ['mariadb-plugin-s3', 'mariadb-server'] },
  configuration: [
    {
      file: 's3.cnf',
      language: 'ini',
      text: `[mariadbd]
plugin_load_add = ha_s3
s3 = ON
s3_host_name = s3.example.com
s3_use_http = ON
s3_protocol_version = Path
s3_region = us-east-1
s3_bucket = files
s3_access_key = ACCESS_KEY_ID
s3_secret_key = SECRET_ACCESS_KEY`,
    },
    { language: 'sql', text: 'ALTER TABLE t ENGINE=S3;' },
  ],
  prepare: async (place) => {
    await place.own(USER);
    await place.sh('mariadb-install-db --no-defaults --datadir="$HOME/data" >/dev/null', { user: USER });
    await place.sh('chmod 644 s3.cnf');
  },
  works: [
    {
      en: '`ALTER TABLE … ENGINE=S3` and back, `SELECT` from it, also after a start of the server, `DROP TABLE`',
      zh: '`ALTER TABLE … ENGINE=S3` 及转回、从中 `SELECT`(重启服务后亦可)、`DROP TABLE`',
      check: async (place) => {
        let sum = '';
        await withMariadb(place, async () => {
          await place.sh(`${SQL} "create table t engine=Aria select seq, md5(seq) m from ${TABLE}"`);
          sum = await place.sh(`${SQL} "${SUM} from t; alter table t engine=S3"`);
          assert.ok((await place.keys('test/t/')).length > 5);
        });
        await withMariadb(place, async () => {
          assert.equal(await place.sh(`${SQL} "${SUM} from t"`), sum);
          assert.equal(await place.sh(`${SQL} "alter table t engine=Aria; ${SUM} from t"`), sum);
          await place.sh(`${SQL} "alter table t engine=S3; drop table t"`);
          assert.deepEqual(await place.keys('test/t/'), []);
        });
      },
    },
  ],
  limits: [
    {
      en: 'a `503` (back-pressure) fails the `ALTER TABLE`: it does not try again; nothing is lost, give the statement again',
      zh: '遇到 `503`(背压)时 `ALTER TABLE` 失败:它不会重试;数据不丢,重新执行即可',
      check: async (place) => {
        const faulty = await place.faulty();
        const check = async () => {
          await place.sh(`${SQL} "create table v engine=Aria select seq from seq_1_to_1000"`);
          faulty.gateway.fail('PutObject', 'slow-down');
          const { code, stderr } = await place.trySh(`${SQL} "alter table v engine=S3"`);
          assert.deepEqual(faulty.gateway.happened, ['PutObject']);
          assert.notEqual(code, 0);
          assert.match(stderr, /Got error/);
          await place.sh(`${SQL} "alter table v engine=S3"`);
          assert.equal(await place.sh(`${SQL} "select count(*) from v"`), '1000\n');
        };
        await withMariadb(place, check, `--s3-port=${faulty.port}`);
      },
    },
  ],
};
