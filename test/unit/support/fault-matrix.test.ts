/** No fault and no operation without its row or column: whoever adds one says what is to be expected. */
import { describe, expect, test } from '@jest/globals';
import { FAULT_NAMES } from '../../../src/local-gitee/faults.js';
import { ROUTES } from '../../../src/s3/routes.js';
import { OPERATIONS } from '../../faults/matrix/columns.js';
import { cellOf, FAULTS } from '../../faults/matrix/faults.js';

describe('the fault matrix', () => {
  test('has a row for every fault of local Gitee', () => {
    const rows = FAULTS.map(({ name }) => name);
    for (const name of FAULT_NAMES) expect(rows).toContain(name);
    expect(new Set(rows).size).toBe(rows.length);
  });

  test('has a column for every operation that the gateway has', () => {
    const columns = new Set(OPERATIONS.map(({ s3 }) => s3));
    const missing = ROUTES.filter(({ operation }) => operation).filter(({ name }) => !columns.has(name));
    expect(missing.map(({ name }) => name)).toEqual([]);
    const names = OPERATIONS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('says of every cell what is right, or why there is no such thing', () => {
    for (const fault of FAULTS)
      for (const operation of OPERATIONS) {
        const cell = cellOf(fault, operation);
        if ('never' in cell) expect(cell.never).not.toBe('');
        else expect(cell.told.length).toBeGreaterThan(0);
      }
  });
});
