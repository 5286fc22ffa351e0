import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE } from '../place.js';

const ALLOWED = 'git config --global annex.security.allowed-ip-addresses all';
const REMOTE = `git annex initremote gitee type=S3 encryption=none bucket=files fileprefix=annex/ \\
  host=s3.example.com port=80 protocol=http requeststyle=path signature=v4 partsize=6MiB chunk=0`;

export const gitAnnex: S3Client = {
  name: 'git-annex',
  packages: { debian: ['git-annex', 'git'] },
  configuration: [
    { language: 'sh', text: `# Where the gateway has a private address.\n${ALLOWED}\n${REMOTE}` },
  ],
  prepare: (place) => place.sh(ALLOWED),
  works: [
    {
      en: '`initremote`, `copy` (multipart with `partsize`), `fsck --from`, `drop`, `get`, in another clone too',
      zh: '`initremote`、`copy`(设 `partsize` 时分片)、`fsck --from`、`drop`、`get`,在另一个克隆中亦可',
      check: async (place) => {
        await place.write('repo/large', LARGE);
        await place.sh(`cd repo; git init -q; git config user.name t; git config user.email t@example.com
          git annex init -q one; git annex add -q large; git commit -qm one
          ${REMOTE}
          git annex copy -q --to gitee
          git annex fsck -q --from gitee`);
        const [key] = (await place.keys('annex/')).filter((name) => name.includes('SHA256E'));
        await place.has(key!, LARGE);
        await place.sh(`cd repo; git annex drop -q large; git annex get -q large; cd ..
          git clone -q repo clone; cd clone; git config user.name t; git config user.email t@example.com
          git annex init -q two; git annex enableremote gitee; git annex get -q --from gitee large`);
        await place.same('repo/large', LARGE);
        await place.same('clone/large', LARGE);
        await place.sh('cd repo; git annex drop -q --from gitee large --numcopies=1');
        await place.gone(key!);
      },
    },
  ],
  limits: [
    {
      en: 'a port other than 80 or 443: it signs the host without its port',
      zh: '80 和 443 以外的端口:签名时主机名不带端口',
      check: async (place) => {
        const { port } = await place.faulty();
        const { code, stdout, stderr } = await place.trySh(
          `cd repo; ${REMOTE.replace('port=80', `port=${port}`).replace('gitee', 'other')}`,
        );
        assert.notEqual(code, 0);
        assert.match(stdout + stderr, /SignatureDoesNotMatch|signature/i);
      },
    },
  ],
};
