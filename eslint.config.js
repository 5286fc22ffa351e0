import tseslint from 'typescript-eslint';

const everywhere = [
  {
    selector: "CallExpression[callee.name='exec'], CallExpression[callee.name='execSync']",
    message: 'A shell sees every argument: run the program itself with spawn or execFile.',
  },
  {
    selector: "Property[key.name='sizeCalculation']",
    message:
      'A cache of bytes is bounded by what the process takes: use ByteCache (src/async/byte-cache.ts), which keeps copies outside Node’s shared slabs.',
  },
];

const number =
  ':matches(Literal[raw=/^[0-9]/], BinaryExpression:not(:has(Identifier[name=/_LIMIT_MS$|imitMs$/])))';
const timeLimit = (selector) => ({
  selector,
  message: 'How long something in a test may take is said in test/support/time-limits.ts only.',
});
/** How a test says how long it, a hook, a program or a condition may take; and how it waits for luck. */
const noLuck = [
  timeLimit(`CallExpression[callee.name=/^(test|it)$/] > ${number}`),
  timeLimit(`CallExpression[callee.object.name=/^(test|it)$/] > ${number}`),
  timeLimit(`CallExpression[callee.callee.object.name=/^(test|it)$/] > ${number}`),
  timeLimit(`CallExpression[callee.tag.object.name=/^(test|it)$/] > ${number}`),
  timeLimit(`CallExpression[callee.name=/^(before|after)(All|Each)$/] > ${number}`),
  timeLimit(`CallExpression[callee.object.name='jest'][callee.property.name='setTimeout'] > ${number}`),
  timeLimit(`CallExpression[callee.name=/^(until|setTimeout)$/] > ${number}`),
  timeLimit(`CallExpression[callee.object.name='AbortSignal'][callee.property.name='timeout'] > ${number}`),
  timeLimit(`CallExpression[callee.name=/^(run|mustRun|push)$/] Property[key.name='timeoutMs'] > ${number}`),
  timeLimit(
    `CallExpression[callee.name=/^(spawn|execFile)(Sync)?$/] Property[key.name='timeout'] > ${number}`,
  ),
  timeLimit(
    `CallExpression[callee.property.name=/^toBeLessThan/]:has(BinaryExpression[left.callee.property.name='now']) > ${number}`,
  ),
  timeLimit("Literal[value='--max-time'], Literal[value='--connect-timeout']"),
  {
    selector:
      "NewExpression[callee.name='Promise'] CallExpression[callee.name='setTimeout'][arguments.0.type='Identifier'], ImportDeclaration[source.value=/timers.promises$/] > ImportSpecifier[imported.name='setTimeout']",
    message: 'A test waits for a condition (until of test/support/child.ts), not for time to pass.',
  },
];

const oneName = {
  selector:
    "CallExpression[callee.name='it'], MemberExpression[object.name='it'], ImportSpecifier[imported.name='it']",
  message: 'A case is called test, everywhere.',
};

/** One home for what a missing file is called, and for what makes files durable. */
const ownNames = [
  {
    selector: "BinaryExpression > Literal[value='ENOENT']",
    message: 'Ask isNotFound or unlessMissing (src/disk/failures.ts).',
  },
  {
    selector: "CallExpression[callee.name='fsyncSync']",
    message: 'What makes files and their names durable has its home in src/disk/durable.ts.',
  },
  {
    selector: "CallExpression[callee.property.name=/^(add|remove)EventListener$/][arguments.0.value='abort']",
    message:
      'Use onAbort or abortable (src/async/abort.ts): they leave no listener behind, and see a signal that has fired before.',
  },
];

/** How long something took, or is to last, is asked of the steady clock: a wall clock is set. */
const wallTime = "CallExpression[callee.property.name='nowMs']";
const noWallDurations = [
  `BinaryExpression[operator=/^[-+<>]/] > ${wallTime}`,
  `VariableDeclarator > ${wallTime}`,
  `AssignmentExpression > ${wallTime}`,
  "MemberExpression[object.name='Date'][property.name='now']",
].map((selector) => ({
  selector,
  message:
    'A wall clock may be set at any moment: durations come from clock.steadyMs(). Wall time is for people and for what is kept (wallTime, steadyTime of src/async/clock.ts).',
}));

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '*.config.js', '.dependency-cruiser.cjs', '**/*.mjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      'no-restricted-syntax': ['error', ...everywhere],
      'no-console': 'error',
    },
  },
  {
    files: ['src/cli/**', 'bench/**', 'src/local-gitee/main.ts', 'test/support/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['src/**'],
    // Local Gitee shares no code with the program that is tested against it.
    ignores: ['src/disk/**', 'src/local-gitee/**'],
    rules: { 'no-restricted-syntax': ['error', ...everywhere, ...ownNames] },
  },
  {
    files: ['src/{async,chunks,journal,line}/**', 'src/objects/write-concern.ts'],
    ignores: ['src/async/clock.ts'],
    rules: { 'no-restricted-syntax': ['error', ...everywhere, ...ownNames, ...noWallDurations] },
  },
  {
    files: ['test/**', 'bench/**'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['test/**'],
    // test/long measures how long real clients wait, and makes them wait.
    ignores: ['test/support/time-limits.ts', 'test/long/**'],
    rules: { 'no-restricted-syntax': ['error', ...everywhere, ...noLuck, oneName] },
  },
);
