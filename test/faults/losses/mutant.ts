/** A copy of the program and its tests in which something was changed, and what a test of it says. */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import ts from 'typescript';
import { run } from '../../support/child.js';
import type { Edit } from './mutations.js';

const COPIED = [
  'src',
  'test',
  'dist',
  'package.json',
  'jest.config.js',
  'tsconfig.json',
  'tsconfig.build.json',
];

/** @throws Error where the text does not stand in the file exactly once */
export function edited(source: string, { file, from, to }: Edit): string {
  const times = source.split(from).length - 1;
  if (times !== 1) throw new Error(`${file} has ${JSON.stringify(from)} ${times} times`);
  return source.replace(from, () => to);
}

export class Mutant {
  private constructor(private readonly directory: string) {}

  static async make(edits: readonly Edit[]): Promise<Mutant> {
    // Short names: sockets stand below it, whose whole path has 107 bytes.
    const directory = await mkdtemp(path.join(tmpdir(), 'm-'));
    for (const name of COPIED) await cp(name, path.join(directory, name), { recursive: true });
    await symlink(path.resolve('node_modules'), path.join(directory, 'node_modules'));
    for (const edit of edits) {
      const file = path.join(directory, edit.file);
      await writeFile(file, edited(await readFile(file, 'utf8'), edit));
    }
    for (const file of new Set(edits.map((edit) => edit.file))) await build(directory, file);
    return new Mutant(directory);
  }

  /** What the failures of this one test say; undefined: it passed. @throws Error where it did not run */
  async failureOf(testFile: string, name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
    const own = path.join(this.directory, 't');
    await mkdir(own);
    const report = path.join(this.directory, 'report.json');
    const { stderr } = await run(
      process.execPath,
      [
        ...['node_modules/jest/bin/jest.js', '--selectProjects', 'integration', '--runInBand', '--forceExit'],
        ...[
          '--testPathPatterns',
          testFile,
          '--testNamePattern',
          `^${name}: `,
          '--json',
          '--outputFile',
          report,
        ],
      ],
      { cwd: this.directory, env: { ...process.env, ...env, TMPDIR: own } },
    );
    const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report;
    const ran = testResults
      .flatMap((suite) => suite.assertionResults)
      .filter(({ status }) => status !== 'pending');
    if (ran.length !== 1) throw new Error(`${ran.length} tests ran: ${stderr.slice(-2_000)}`);
    return ran[0]!.status === 'passed' ? undefined : ran[0]!.failureMessages.join('\n');
  }

  remove(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly status: 'passed' | 'failed' | 'pending';
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Of one file: types say nothing here. */
async function build(directory: string, file: string): Promise<void> {
  const source = await readFile(path.join(directory, file), 'utf8');
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  const { outputText } = ts.transpileModule(source, { compilerOptions });
  await writeFile(path.join(directory, file.replace(/^src/, 'dist').replace(/\.ts$/, '.js')), outputText);
}
