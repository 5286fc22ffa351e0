#!/usr/bin/env node
/** The program `gitee-s3`. */
import { compose } from '../server/compose.js';
import { VERSION } from '../server/version.js';
import { runCli } from './run.js';

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  logStream: process.stderr,
  compose,
  version: VERSION,
});
