/** How the programs of an operator's commands are run, with what they print. */
import { execFile } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { runCli } from '../../src/cli/run.js';
import { compose } from '../../src/server/compose.js';
import { VERSION } from '../../src/server/version.js';
import { endWithSuite, tie } from './tied.js';
import { PROGRAM_LIMIT_MS } from './time-limits.js';

export interface Output {
  readonly code: number;
  readonly stdout: string | Uint8Array;
  readonly stderr: string;
}

/** The program gitee-s3 in the gateway's container: its main function with that environment. */
export async function giteeS3(args: string[], env: NodeJS.ProcessEnv): Promise<Output> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await runCli(args, { env, stdout, stderr, logStream: stderr, compose, version: VERSION });
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') };
}

/** Runs a program to its end; bytes stay bytes. */
export function capture(
  command: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; cwd?: string },
  input = '',
): Promise<Output> {
  return new Promise((resolve) => {
    const tied = tie(command, args, options.env);
    const child = execFile(
      tied.command,
      tied.args,
      { ...options, env: tied.env, encoding: 'buffer', maxBuffer: 64 << 20, timeout: PROGRAM_LIMIT_MS },
      (error, stdout, stderr) =>
        resolve({
          code: error ? (typeof error.code === 'number' ? error.code : 126) : 0,
          stdout,
          stderr: stderr.toString('utf8'),
        }),
    );
    endWithSuite(child);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
