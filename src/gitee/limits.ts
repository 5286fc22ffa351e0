/**
 * Limits of gitee.com as its documents state them, to explain an error to an operator. They are no promises:
 * plans change, and documents and logs disagree (docs/facts/gitee.md §3, §6). Nothing decides by these figures; what
 * is in force is read from Gitee's refusals.
 */
export interface DocumentedLimit {
  readonly what: string;
  /** As the document has it. */
  readonly figure: string;
  readonly link: string;
}

const article = (number: number) => `https://gitee.com/help/articles/${number}`;

export const DOCUMENTED_LIMITS = {
  lfs: {
    what: 'Git LFS',
    figure: 'repositories of paid or trial enterprises only; a small space is included, more can be bought',
    link: article(4235),
  },
  repository: {
    what: 'size of a repository',
    figure: 'depends on the plan',
    link: article(4283),
  },
  community: {
    what: 'repositories of persons and organisations',
    figure: 'a limit per repository and one per user',
    link: article(4125),
  },
  file: {
    what: 'size of one file in git',
    figure: 'depends on the plan; the refusal names it',
    link: article(4232),
  },
  pushBody: {
    what: 'body of one push over HTTPS',
    figure: '500 MB',
    link: article(4205),
  },
  garbageCollection: {
    what: 'space of deleted objects',
    figure: 'comes back after a GC that is started by hand in the settings of the repository',
    link: article(4173),
  },
  blocking: {
    what: 'repositories used as a file store',
    figure: 'may be blocked (hot-linking, near the quota)',
    link: article(4201),
  },
  protectedBranch: {
    what: 'protected branches',
    figure: 'in review mode a push makes a pull request and leaves the branch alone',
    link: article(4239),
  },
  plans: {
    what: 'plans and prices',
    figure: 'see the page',
    link: 'https://gitee.com/enterprises#price',
  },
} as const satisfies Record<string, DocumentedLimit>;
