/**
 * The columns of the fault matrix that operators are: their commands, asked of a gateway that runs. What is set aside was
 * refused by Gitee for its content, and would land now: dropped it must be gone for good, and otherwise it must land.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { EXIT } from '../../../src/cli/exit-codes.js';
import type { RunResult } from '../../support/child.js';
import { ABSENT, valueOf } from '../../support/history/history.js';
import type { Effect, Group, MatrixOperation } from './operations.js';

/** What a command is run on. */
interface Desk {
  /** Ends in a slash. */
  readonly prefix: string;
  /** A write of the bucket `files` that was acknowledged, and that Gitee then refused for its content. */
  setAside(key: string, body: string): Promise<void>;
  cli(...args: string[]): Promise<RunResult>;
}

interface Command {
  readonly effects: readonly Effect[];
  /** 200 where it ends as it should, 503 where it says that it could not, else OTHERWISE. */
  readonly run: () => Promise<number>;
}

const BUCKET = ['--bucket', 'files'];
/** It ended with another exit code than the one for this outcome, or without saying what it should. */
export const OTHERWISE = 207;

interface OperatorOperation extends MatrixOperation {
  readonly command: (desk: Desk) => Promise<Command>;
}

/** On one change that is set aside. */
function ofChange(
  action: string,
  run: (desk: Desk, key: string, body: string) => Command,
): OperatorOperation {
  return {
    ...{ name: `quarantine ${action}`, s3: undefined, group: 'operates' },
    command: async (desk) => {
      const [key, body] = [`set aside/${desk.prefix}${action}`, `set aside ${desk.prefix}${action}`];
      await desk.setAside(key, body);
      return run(desk, key, body);
    },
  };
}

const ofBucket = (name: string, group: Group, args: readonly string[]): OperatorOperation => ({
  ...{ name, s3: undefined, group },
  command: async (desk) => ({
    effects: [],
    run: async () => statusOf(await desk.cli(...args, ...BUCKET)),
  }),
});

export const OPERATOR_OPERATIONS: readonly OperatorOperation[] = [
  ofChange('list', (desk, key) => ({
    effects: [],
    run: async () => statusOf(await desk.cli('quarantine', 'list', key, ...BUCKET), key, EXIT.found),
  })),
  ofChange('retry', (desk, key, body) => ({
    // It waits for Gitee again, and lands; so it does where the command was never heard of, once it is tried again.
    effects: [{ key, value: valueOf(body) }],
    run: async () => statusOf(await desk.cli('quarantine', 'retry', key, ...BUCKET), '1 changes wait'),
  })),
  ofChange('export', (desk, key, body) => ({
    effects: [],
    run: async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'exported-'));
      try {
        const result = await desk.cli('quarantine', 'export', key, '--json', '--to', directory, ...BUCKET);
        if (result.code !== 0) return statusOf(result);
        const [exported] = JSON.parse(result.stdout) as { file: string }[];
        if (!exported) return 503;
        const bytes = await readFile(path.join(directory, exported.file), 'utf8');
        if (bytes !== body) throw new Error(`exported ${JSON.stringify(bytes)} of ${key}`);
        return 200;
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  })),
  ofChange('drop', (desk, key) => ({
    effects: [{ key, value: ABSENT }],
    run: async () =>
      statusOf(await desk.cli('quarantine', 'drop', key, '--confirm', key, ...BUCKET), 'is given up'),
  })),
  ofBucket('fsck', 'asks for LFS objects', ['fsck']),
  ofBucket('accept-remote --preview', 'asks for the branch', ['accept-remote', '--preview']),
  ofBucket('accept-remote', 'asks for both', ['accept-remote']),
];

/** @param done what it ends with where all is as it should be */
function statusOf({ code, stdout }: RunResult, says = '', done: number = EXIT.ok): number {
  if (code === done && stdout.includes(says)) return 200;
  return code === EXIT.failed ? 503 : OTHERWISE;
}

export const commandOf = ({ name }: MatrixOperation): OperatorOperation['command'] | undefined =>
  OPERATOR_OPERATIONS.find((operation) => operation.name === name)?.command;
