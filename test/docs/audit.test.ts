import { AUDIT_ACTIONS } from '../../src/async/audit.js';
import { readDocument } from './document.js';

test.each(['docs/audit.md', 'docs/zh/audit.md'])(
  '%s says of every audit action when it is recorded, and of no other',
  (path) => {
    const table = /^\| action \|.*\n\| --- .*\n((?:\|.*\n)+)/m.exec(readDocument(path))![1]!;
    const actions = table
      .split('\n')
      .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map((name) => name[1]!));
    expect(actions.sort()).toEqual([...AUDIT_ACTIONS].sort());
  },
);
