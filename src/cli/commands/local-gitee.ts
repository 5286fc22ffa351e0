import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { EXIT } from '../exit-codes.js';
import type { Command } from '../command.js';
import { LOCAL_GITEE_PROGRAM } from '../local-gitee-process.js';

export const localGiteeCommand: Command = {
  name: 'local-gitee',
  positionals: [],
  flags: [
    { name: 'data', type: 'string', value: 'DIR', about: 'where repositories and LFS objects lie' },
    { name: 'host', type: 'string', value: 'ADDRESS', about: 'address to listen on (127.0.0.1)' },
    { name: 'port', type: 'string', value: 'N', about: 'port of pages, git and API' },
    { name: 'lfs-port', type: 'string', value: 'N', about: 'port of the LFS data' },
    { name: 'config', type: 'string', value: 'FILE', about: 'JSON file with accounts and repositories' },
  ],
  summary: 'run the embedded Gitee-compatible server alone, for trying out and for tests',
  run: async (input) => {
    const args = Object.entries(input.flags).flatMap(([name, value]) =>
      typeof value === 'string' ? [`--${name}`, value] : [],
    );
    const child = spawn(process.execPath, [LOCAL_GITEE_PROGRAM, ...args, '--exit-with-parent'], {
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    const pass = (signal: NodeJS.Signals) => child.kill(signal);
    process.on('SIGTERM', pass).on('SIGINT', pass);
    try {
      const [code] = (await once(child, 'exit')) as [number | null];
      return code ?? EXIT.failed;
    } finally {
      process.off('SIGTERM', pass).off('SIGINT', pass);
    }
  },
};
