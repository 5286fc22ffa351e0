/**
 * Every command of the pages for operators, in the order of PLAN on one stack: set up by setup.sh, pushed to, looked
 * at, broken, mended, upgraded, lost and restored. test/docs/operator-docs.test.ts sees to it that none is left out.
 */
import { writeFile } from 'node:fs/promises';
import { mustRun, run } from '../../support/child.js';
import { commandBlocks } from '../../support/operator-docs.js';
import { PLAN, type Step } from '../../support/operator-plan.js';
import { OperatorStack } from '../../support/operator-stack.js';

let stack: OperatorStack;
let elsewhere: string | undefined;

beforeAll(async () => {
  stack = await OperatorStack.start();
});

afterAll(() => stack.close());

const preparations: Record<NonNullable<Step['before']>, () => Promise<unknown>> = {
  values: () => stack.fillIn('opt/gitee-s3'),
  'list-password': () => writeFile(stack.inside('opt/gitee-s3/deploy/li-password'), 'password of li\n'),
  'branch-rewritten': () => stack.rewriteBranch(),
  'new-repository': () =>
    stack.gitee.admin('repositories', {
      ...{ owner: 'acme', name: 'images-new', private: true, enterprise: true, lfs: true },
      collaborators: { gateway: 'push', zhang: 'push' },
    }),
};

test.each(PLAN)('$page: $has', async (step) => {
  const block = commandBlocks(step.page).find((text) => text.includes(step.has))!;
  if (step.before) await preparations[step.before]();
  if (step.elsewhere && elsewhere === undefined) elsewhere = await stack.another(step.elsewhere);
  const result = await (step.elsewhere ? stack.run(block, elsewhere, false) : stack.run(block));
  if (result.code !== 0) throw new Error(`${block}${result.stdout}${result.stderr}ended with ${result.code}`);
  expect(result.stdout).toMatch(step.shows ?? /^/);
  expect(result.stderr).toMatch(step.says ?? /^/);
});

test('after all of it: the list has its user, the settings are in the copy, no secret was printed by the gateway', async () => {
  const list = stack.inside('opt/gitee-s3/deploy/secrets/htpasswd');
  expect(await run('htpasswd', ['-vi', list, 'li'], { input: 'password of li\n' })).toMatchObject({
    code: 0,
  });
  const { stdout } = await mustRun('tar', ['-tzf', stack.inside('root/gitee-s3-settings.tar.gz')]);
  expect(stdout).toMatch(
    /secrets\/token\.key[\s\S]*tls\/registry\.key|tls\/registry\.key[\s\S]*secrets\/token\.key/,
  );
  const audit = await mustRun('tar', ['-tzf', stack.inside('srv/backup/audit.tar.gz')]);
  expect(audit.stdout).toMatch(/audit\/.*\.jsonl/);
  expect(await run('grep', ['-rlF', 'token-of-', stack.inside('log')])).toMatchObject({ code: 1 });
});
