import type { LayoutRules } from '../format/tree-layout.js';
import type { WriteConcernRules } from '../objects/bucket.js';

/** Where the directory of a bucket lies on Gitee. */
export interface Location {
  /** `owner/name`. */
  readonly repository: string;
  readonly branch: string;
  /** Without slashes at the ends. */
  readonly pathPrefix: string;
}

/** One bucket as it is to be kept: where, and by which rules. src/server makes it of the configuration. */
export interface BucketPlace extends Location {
  readonly name: string;
  readonly layout: LayoutRules;
  readonly concern: Omit<WriteConcernRules, 'lineHeardMs'>;
}
