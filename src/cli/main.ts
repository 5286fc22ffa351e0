#!/usr/bin/env node
/** The program `gitee-s3`. */
import { VERSION } from '../server/version.js';
import { runCli } from './run.js';

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  logStream: process.stderr,
  // Most commands only ask the gateway that runs: none of them waits for all of its modules.
  compose: async (config, parts) => (await import('../server/compose.js')).compose(config, parts),
  version: VERSION,
});
