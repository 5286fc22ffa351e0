#!/usr/bin/env bash
# Jest 30.5.2, one worker: each test file runs an AsyncLocalStorage of its own (jest-circus), and nothing disables it when
# the file is over. Up to Node 23 an AsyncLocalStorage that was run once stays hooked into every promise of the process
# until disable(): each later test file's promises are dearer than those of the file before. (From Node 24 the context
# costs nothing there.) Counted here, not timed: storages that were run and calls of disable(), for four empty test files.
set -euo pipefail
VERSION=30.5.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in node npm; do command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }; done
cd "$work"
printf '{"private":true}' >package.json
npm install --no-audit --no-fund --loglevel=error "jest@$VERSION" "jest-environment-node@$VERSION" >/dev/null \
  || { echo "jest@$VERSION cannot be fetched" >&2; exit 2; }

cat >environment.js <<'J'
const { AsyncLocalStorage } = require('node:async_hooks');
const { TestEnvironment } = require('jest-environment-node');
const counts = (globalThis.counts ??= { run: new Set(), disabled: new Set() });
if (!counts.isWrapped) {
  counts.isWrapped = true;
  for (const [name, seen] of [['run', counts.run], ['disable', counts.disabled]]) {
    const original = AsyncLocalStorage.prototype[name];
    AsyncLocalStorage.prototype[name] = function (...args) {
      seen.add(this);
      return original.apply(this, args);
    };
  }
}
module.exports = class extends TestEnvironment {
  async teardown() {
    await super.teardown();
    process.stderr.write(`count: ${counts.run.size} run, ${counts.disabled.size} disabled\n`);
  }
};
J
for i in 1 2 3 4; do echo "test('t', async () => { await null; });" >"file$i.test.js"; done
npx jest --runInBand --silent --testEnvironment "$work/environment.js" --rootDir "$work" >out 2>&1 || { cat out >&2; exit 2; }
seen=$(grep '^count: ' out | tr '\n' ';')
echo "jest $(npx jest --version), node $(node --version): $seen"
expected='count: 1 run, 0 disabled;count: 2 run, 0 disabled;count: 3 run, 0 disabled;count: 4 run, 0 disabled;'
[ "$seen" = "$expected" ] || { echo "this has changed; expected: $expected" >&2; exit 1; }
