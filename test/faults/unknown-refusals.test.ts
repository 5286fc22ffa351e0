/**
 * A refusal for a reason that nobody knows may pass by itself: a server in trouble answers a 400 now and then. Once or
 * twice it pauses nothing and fails no push, whatever was asked for; where it stays, people are told. A push and a batch;
 * everything with LONG_TESTS=1.
 */
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../support/child.js';
import { History } from '../support/history/history.js';
import { recordPush, throughRegistry } from '../support/history/images.js';
import { makeImage } from '../support/image.js';
import type { FaultOptions } from '../support/local-gitee.js';
import { startStack, type Stack } from '../support/stack.js';

const TIMES = 2;
const IS_LONG = process.env['LONG_TESTS'] !== undefined;

type Case = [what: string, fault: string, options: FaultOptions];
const SOME: Case[] = [
  ['a push', 'git-hook-refuse', { text: 'out of cheese' }],
  ['a batch', 'lfs-batch-status', { status: 400 }],
];
const MORE: Case[] = [
  ['a batch', 'lfs-batch-status', { status: 406 }],
  ['an object of a batch', 'lfs-object-status', { status: 400 }],
  ['an upload', 'lfs-upload-status', { status: 400 }],
  ['a verification', 'lfs-verify-status', { status: 400 }],
];

let stack: Stack;
let registry: Awaited<ReturnType<Stack['startRegistry']>>;
let n = 0;
const history = new History();
const pushed = async (name: string) =>
  recordPush(
    history,
    registry.address,
    name,
    await makeImage(path.join(stack.directory, `${(n += 1)}`), [200_000]),
  );
const status = async () => (await stack.gateway.cli('status')).stdout;
const log = () => readFile(path.join(stack.gateway.directory, 'gateway.log'), 'utf8');

beforeAll(async () => {
  stack = await startStack({ config: { commit: { interval: '10m' }, inline_limit: '1KiB' } });
  registry = await stack.startRegistry();
  expect(await pushed('a/warm:up')).toBe('ok');
});
afterAll(() => stack.close());

test.each([...SOME, ...(IS_LONG ? MORE : [])])('of %s (%s %j), twice', async (_, fault, options) => {
  const before = (await log()).length;
  await stack.gitee.passingFault(fault, TIMES, options);
  expect(await pushed(`a/passing:v${n}`)).toBe('ok');
  expect(await stack.gitee.hits(fault)).toBe(TIMES);
  await stack.gitee.clearFaults();
  expect((await log()).slice(before)).not.toMatch(/uploads are paused|nothing lands on Gitee until/);
});

test.each(IS_LONG ? SOME : SOME.slice(1))(
  'of %s (%s %j) that stays pauses, is told, and costs no push more than seconds',
  async (_, fault, options) => {
    await stack.gitee.fault(fault, options);
    expect(await pushed(`a/refused:v${n}`)).toBe('put off');
    expect(await status()).toMatch(/paused \(refused\)/);
    await stack.gitee.clearFaults();
    stack.gateway.child!.process.kill('SIGHUP');
    await until('it goes on', async () => !/paused/.test(await status()));
    expect(await pushed(`a/after:v${n}`)).toBe('ok');
    expect(await history.problems(throughRegistry(registry.address, stack.directory), 'remote')).toEqual([]);
  },
);
