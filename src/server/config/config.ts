/** The types of the configuration; they follow from the table of options. */
import type { Resolved } from './option.js';
import type { OPTIONS } from './options.js';
import type { Secret } from './secret.js';

/** What the table alone says, before defaults that depend on other options. */
export type RawConfig = Resolved<typeof OPTIONS>;
export type RawBucket = RawConfig['buckets'][number];

export interface BucketConfig extends RawBucket {
  readonly writeConcern: 'local' | 'remote' | 'barrier';
  /** Patterns as in the configuration; compileKeyPattern() makes them regular expressions. */
  readonly barrierPatterns: readonly string[];
}

/**
 * The checked configuration. `path_prefix` has no `/` at its ends; `registry_root` is '' or ends with `/`, as
 * LayoutRules has it.
 */
export interface Config extends Omit<RawConfig, 'gitee' | 'localGitee' | 'audit' | 'buckets'> {
  readonly gitee: RawConfig['gitee'] & {
    /** Without trailing `/`; that of local Gitee where it is enabled. */
    readonly url: string;
    readonly lfsUser: string;
  };
  readonly localGitee: RawConfig['localGitee'] & { readonly enabled: boolean; readonly dataDir: string };
  readonly audit: RawConfig['audit'] & { readonly directory: string };
  readonly buckets: readonly BucketConfig[];
  /** Every secret of the configuration, for masking and for reload. */
  readonly secrets: readonly Secret[];
}
