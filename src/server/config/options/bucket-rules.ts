/** Buckets in the browser, and buckets made by request. Rows of the table of options (src/server/config/options.ts). */
import { duration, group, integer, list, text, texts } from '../option.js';

export const BUCKET_RULE_OPTIONS = {
  cors: list('Which web pages of other origins may use buckets from a browser. The first that fits counts.', {
    buckets: texts({ default: '["*"]', about: 'Names of buckets; * is every bucket.' }),
    origins: texts({
      required: true,
      about:
        'Origins of the pages, such as https://app.example.com; one * in each stands for any text, and * alone for every page.',
    }),
    methods: texts({ required: true, about: 'Of GET, PUT, POST, DELETE and HEAD.' }),
    headers: texts({
      default: '[]',
      about:
        'Headers that a page may send; one * in each stands for any text. For uploads by signed requests: ["*"].',
    }),
    expose_headers: texts({
      default: '[]',
      about: 'Headers that a page may read beyond the usual ones, such as ETag.',
    }),
    max_age: duration({ about: 'How long a browser may keep the permission. Unset: it decides itself.' }),
  }),
  create_buckets: group(
    'Buckets made by request (CreateBucket, DeleteBucket). Each is a directory of one repository.',
    {
      repository: text({
        pattern: /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/,
        fits: 'must be owner/repository',
        about:
          'Repository on Gitee for them, as owner/name. Unset: buckets stand in this configuration only, and creation is refused.',
      }),
      branch: text({
        default: 'master',
        pattern: /^(?!.*(?:\.\.|\/\/|@\{|\.lock$|\/$|\.$))[\w][\w./-]*$/,
        fits: 'must be the name of a git branch',
        about: 'Branch for them.',
      }),
      path_prefix: text({
        default: 'buckets',
        pattern: /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*\/?$/,
        fits: 'must be a directory such as buckets or a/b',
        about:
          'Directory for them: bucket photos fills <path_prefix>/photos, the list of them <path_prefix>/_catalogue.',
      }),
      max: integer({
        default: '100',
        min: 1,
        max: 1000,
        about:
          'So many at most. Each has a committer and an index of its own; docs/operations.md says what that costs.',
      }),
    },
  ),
} as const;
