/** Set up for each test file by jest.config.js. */
import { expect, jest } from '@jest/globals';
import { TEST_LIMIT_MS } from './time-limits.js';

jest.setTimeout(TEST_LIMIT_MS);

/** Below this jest's own comparison is quick, and its account of a difference of use. */
const LONG_BYTES = 1024;

// Jest compares arrays of bytes element by element, as objects: some seconds for a few megabytes.
expect.addEqualityTesters([
  (a: unknown, b: unknown) =>
    a instanceof Uint8Array &&
    b instanceof Uint8Array &&
    a.constructor === b.constructor &&
    a.length >= LONG_BYTES
      ? Buffer.compare(a, b) === 0
      : undefined,
]);
