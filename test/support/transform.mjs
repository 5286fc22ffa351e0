import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import swc from '@swc/jest';

/**
 * In a module that Jest runs each look at a global asks the sandbox of its environment, which costs as much as some
 * hundred lines: three quarters of what the tests that compute much took. So each module looks once, when it begins:
 * of these, which no test replaces.
 */
const GLOBALS = [
  ...['AbortController', 'AbortSignal', 'Array', 'ArrayBuffer', 'Atomics', 'BigInt', 'Boolean', 'Buffer'],
  ...[
    'DataView',
    'Date',
    'Error',
    'Infinity',
    'Int32Array',
    'JSON',
    'Map',
    'Math',
    'NaN',
    'Number',
    'Object',
  ],
  ...[
    'Promise',
    'RangeError',
    'Reflect',
    'RegExp',
    'Set',
    'SharedArrayBuffer',
    'String',
    'Symbol',
    'TextDecoder',
  ],
  ...[
    'TextEncoder',
    'TypeError',
    'URL',
    'URLSearchParams',
    'Uint32Array',
    'Uint8Array',
    'WeakMap',
    'WeakRef',
  ],
  ...['clearInterval', 'clearTimeout', 'decodeURIComponent', 'encodeURIComponent', 'isNaN', 'parseInt'],
  ...['performance', 'process', 'queueMicrotask', 'setImmediate', 'setInterval', 'setTimeout'],
];

const WORDS = GLOBALS.map((name) => ({
  name,
  used: new RegExp(`(?<![\\w$.])${name}(?![\\w$])`),
  /** A module's own meaning of the name. One that is missed here is a SyntaxError, and no wrong test. */
  declared: new RegExp(
    `\\b(?:class|function|const|let|var)\\s+${name}\\b|\\bimport\\b[^;]*?\\b${name}\\b[^;]*?\\bfrom\\b`,
  ),
}));

const VERSION = createHash('sha256')
  .update(readFileSync(new URL(import.meta.url)))
  .digest('hex');

export function withGlobals(code) {
  const used = WORDS.filter((word) => word.used.test(code) && !word.declared.test(code));
  if (used.length === 0 || code.startsWith('#!')) return code;
  // On its first line: all others stand where the source map has them.
  return `const { ${used.map(({ name }) => name).join(', ')} } = globalThis; ${code}`;
}

/** @swc/jest, with `withGlobals`. */
export default {
  createTransformer(options) {
    const inner = swc.createTransformer(options);
    const add = (result) => ({ ...result, code: withGlobals(result.code) });
    return {
      ...inner,
      getCacheKey: (...args) => `${inner.getCacheKey(...args)}${VERSION.slice(0, 16)}`,
      process: (...args) => add(inner.process(...args)),
      processAsync: async (...args) => add(await inner.processAsync(...args)),
    };
  },
};
