import assert from 'node:assert/strict';
import type { Place } from '../place.js';

const USER = 'postgres';
const BIN = '/usr/lib/postgresql/15/bin';
/** Where Debian has it; in these runs a directory of the client's home stands there. */
export const DATA = '/var/lib/postgresql/15/main';

/** A cluster with a table of some megabytes, whose log goes to the archive. */
export async function startPostgresql(place: Place, archiveCommand: string): Promise<void> {
  await place.sh(`mkdir postgresql; chown ${USER} postgresql; mount --bind postgresql /var/lib/postgresql`);
  place.atEnd(() => place.sh('umount -l /var/lib/postgresql'));
  await place.own(USER);
  await postgres(place, `${BIN}/initdb -D ${DATA} --auth=trust >/dev/null`);
  await place.sh(`cat >>${DATA}/postgresql.conf <<'CONF'
listen_addresses = ''
unix_socket_directories = '${place.home}'
archive_mode = on
wal_level = replica
archive_command = '${archiveCommand}'
CONF`);
  await started(place);
  await postgres(
    place,
    `psql -qc "create table t as select i, md5(i::text) as m from generate_series(1, 200000) i"`,
  );
}

export function postgres(place: Place, script: string): Promise<string> {
  return place.sh(`export PGHOST="$HOME"; ${script}`, { user: USER });
}

export async function started(place: Place): Promise<void> {
  await postgres(place, `${BIN}/pg_ctl start -w -D ${DATA} -l ~/postgresql.log >/dev/null`);
  place.atEnd(() => place.trySh(`${BIN}/pg_ctl stop -m immediate -D ${DATA}`, { user: USER }));
}

/** Rows after the backup too, their log archived, and then all of it lost. */
export async function lost(place: Place): Promise<void> {
  await postgres(
    place,
    `psql -qc "insert into t values (0, 'after the backup')" -c "select pg_switch_wal()" >/dev/null
     ${BIN}/pg_ctl stop -w -m fast -D ${DATA} >/dev/null; rm -rf ${DATA}`,
  );
}

/** All rows are there again. */
export async function whole(place: Place): Promise<void> {
  const rows = await postgres(
    place,
    `psql -Atc "select count(*), count(*) filter (where m = md5(i::text)), max(m) filter (where i = 0) from t"`,
  );
  assert.equal(rows, '200001|200000|after the backup\n');
}
