const common = {
  testEnvironment: '<rootDir>/test/support/suite-environment.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '<rootDir>/test/support/transform.mjs',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist'],
  // Time limits of tests and hooks, for both projects.
  setupFilesAfterEnv: ['<rootDir>/test/support/every-suite.ts'],
};

export default {
  // Tests of one file that run side by side wait, each for its own servers: none for a place.
  maxConcurrency: 16,
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: ['<rootDir>/test/{unit,property,contract,docs}/**/*.test.ts'],
    },
    {
      ...common,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/{integration,faults}/**/*.test.ts'],
    },
  ],
};
