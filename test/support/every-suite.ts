/** Set up for each test file by jest.config.js. */
import { jest } from '@jest/globals';
import { TEST_LIMIT_MS } from './time-limits.js';

jest.setTimeout(TEST_LIMIT_MS);
