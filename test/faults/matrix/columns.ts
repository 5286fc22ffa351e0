import { CLIENT_OPERATIONS, type MatrixOperation } from './operations.js';
import { OPERATOR_OPERATIONS } from './operator.js';

/** All columns. Operators first: what they need is refused by the branch before anything else waits for it. */
export const OPERATIONS: readonly MatrixOperation[] = [...OPERATOR_OPERATIONS, ...CLIENT_OPERATIONS];
