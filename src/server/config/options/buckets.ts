/** Who may use which bucket, and where each lies. Rows of the table of options (src/server/config/options.ts). */
import { choice, list, rights, secret, text, texts, toggle } from '../option.js';

export const BUCKET_OPTIONS = {
  access_keys: list('Who may use the S3 endpoint. At least one.', {
    access_key_id: text({
      required: true,
      pattern: /^[\x21-\x2e\x30-\x7e]{3,128}$/,
      fits: 'must be 3 to 128 printable characters without blanks and slashes',
      about: 'Public half of the key.',
    }),
    secret_access_key: secret({ required: true, about: 'Secret half of the key, at least 8 characters.' }),
    buckets: rights({ default: '{"*": write}', about: 'Rights by bucket name; * is every other bucket.' }),
    create_buckets: toggle({
      default: 'false',
      about: 'May create and delete buckets (create_buckets), and has the right write on those that it made.',
    }),
  }),
  buckets: list('Buckets and where each lies on Gitee. At least one.', {
    name: text({
      required: true,
      pattern: /^(?!xn--)(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
      fits: 'must be a bucket name by the rules of S3: 3 to 63 of a-z, 0-9, - and .',
      about: 'Name of the bucket.',
    }),
    repository: text({
      required: true,
      pattern: /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/,
      fits: 'must be owner/repository',
      about: 'Repository on Gitee, as owner/name. It must exist, with LFS enabled.',
    }),
    branch: text({
      default: 'master',
      pattern: /^(?!.*(?:\.\.|\/\/|@\{|\.lock$|\/$|\.$))[\w][\w./-]*$/,
      fits: 'must be the name of a git branch',
      about:
        'Branch whose tree is the bucket: best the default branch of the repository, which a plain clone checks out. Give it to the gateway alone.',
    }),
    path_prefix: text({
      default: '',
      pattern: /^(?:[\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?$/,
      fits: 'must be a directory such as images or a/b, or empty',
      about:
        'Directory of the repository that the bucket fills. Two buckets must not lie one inside the other.',
    }),
    public_read: toggle({
      default: 'false',
      about:
        'Everybody who reaches the S3 endpoint may get, list and head its objects without a signature; nobody may write without one. Leave it false for the registry: who may pull is decided by the registry.',
    }),
    preset: choice(['registry', 'generic'], {
      default: 'generic',
      about:
        "registry: laid out so that a clone is a root directory of the registry's filesystem driver. generic: any S3 client; keeps all metadata.",
    }),
    registry_root: text({
      default: '',
      pattern: /^(?:[\w-][\w.-]*(?:\/[\w-][\w.-]*)*)?\/?$/,
      fits: 'must be a directory such as images, without a leading /',
      about: "With preset registry: the registry's rootdirectory, without the leading /.",
    }),
    write_concern: choice(['local', 'remote', 'barrier'], {
      about:
        'When a write is acknowledged. local: safe on this disk. remote: on Gitee. barrier: as local, but keys that match barrier_patterns wait until they and what they rest on are on Gitee. Default: barrier with preset registry, else local.',
    }),
    barrier_patterns: texts({
      about:
        'With barrier: patterns of keys (* within a component, ** over several). Default with preset registry: the tags, <registry_root>docker/registry/v2/repositories/**/_manifests/tags/*/current/link.',
    }),
  }),
} as const;
