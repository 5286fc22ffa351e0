/**
 * How a row of the option table is written, and the type that follows from it: `inline_limit: size(…)` becomes
 * `config.inlineLimitBytes: number`. Units come last in the property's name and are always there.
 */
import { z } from 'zod';
import { parseDuration, parseSize } from './quantity.js';
import type { Secret } from './secret.js';

type LeafKind =
  | 'text'
  | 'integer'
  | 'switch'
  | 'size'
  | 'duration'
  | 'rate'
  | 'choice'
  | 'secret'
  | 'file'
  | 'texts'
  | 'rights';

/** One option that has a value of its own. */
export interface Leaf<T = unknown, K extends LeafKind = LeafKind> {
  readonly node: 'leaf';
  readonly kind: K;
  /** Takes the value as it stands in YAML, or as text from the environment. Unused for secrets. */
  readonly schema: z.ZodType<T>;
  /** As an operator would write it; undefined: none. */
  readonly default: string | undefined;
  readonly required: boolean;
  /** Values that a choice takes. */
  readonly choices: readonly string[];
  /** What it does, to data too, in plain sentences. */
  readonly about: string;
}

export interface Group<F extends Fields = Fields> {
  readonly node: 'group';
  readonly fields: F;
  readonly about: string;
}

export interface List<F extends Fields = Fields> {
  readonly node: 'list';
  readonly fields: F;
  readonly about: string;
}

export interface Fields {
  readonly [name: string]: OptionNode;
}
export type OptionNode = Leaf | Group | List;

type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Suffixed<S extends string, U extends string> =
  Lowercase<S> extends `${string}${Lowercase<U>}` ? S : `${S}${U}`;
type PropertyName<S extends string, N> =
  N extends Leaf<unknown, 'size'>
    ? Suffixed<Camel<S>, 'Bytes'>
    : N extends Leaf<unknown, 'duration'>
      ? Suffixed<Camel<S>, 'Ms'>
      : N extends Leaf<unknown, 'rate'>
        ? Suffixed<Camel<S>, 'BytesPerSecond'>
        : Camel<S>;
type ValueOf<N> =
  N extends Leaf<infer T, LeafKind>
    ? T
    : N extends Group<infer F>
      ? Resolved<F>
      : N extends List<infer F>
        ? readonly Resolved<F>[]
        : never;

/** The configuration's type, from the table. */
export type Resolved<F extends Fields> = {
  readonly [K in keyof F & string as PropertyName<K, F[K]>]: ValueOf<F[K]>;
};

const SUFFIXES: Partial<Record<LeafKind, string>> = { size: 'Bytes', duration: 'Ms', rate: 'BytesPerSecond' };

/** The property that an option has in Config; the same rule as the type PropertyName. */
export function propertyName(name: string, node: OptionNode): string {
  const camel = name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
  const suffix = node.node === 'leaf' ? (SUFFIXES[node.kind] ?? '') : '';
  return camel.toLowerCase().endsWith(suffix.toLowerCase()) ? camel : camel + suffix;
}

interface Common {
  /** Written as in YAML. */
  readonly default?: string;
  readonly required?: boolean;
  readonly about: string;
}
/** With a default or `required` the value is always there; otherwise it may be undefined. */
type Present<T, O> = O extends { default: string } | { required: true } ? T : T | undefined;

function leaf<T, K extends LeafKind>(kind: K, schema: z.ZodType, o: Common, choices: readonly string[] = []) {
  return {
    node: 'leaf',
    kind,
    schema,
    default: o.default,
    required: o.required ?? false,
    choices,
    about: o.about,
  } as unknown as Leaf<T, K>;
}

const scalarText = z
  .union([z.string(), z.number(), z.boolean()], { error: 'must be a text' })
  .transform((v) => String(v));

/** A text; `pattern` with a sentence that says what fits. */
export function text<const O extends Common & { pattern?: RegExp; fits?: string }>(
  o: O,
): Leaf<Present<string, O>, 'text'> {
  const schema = o.pattern ? scalarText.pipe(z.string().regex(o.pattern, o.fits)) : scalarText;
  return leaf('text', schema, o);
}

/** A whole number within bounds. */
export function integer<const O extends Common & { min: number; max: number }>(
  o: O,
): Leaf<Present<number, O>, 'integer'> {
  const error = `must be a whole number from ${o.min} to ${o.max}`;
  const schema = scalarText
    .pipe(z.string().regex(/^\d{1,15}$/, error))
    .transform(Number)
    .pipe(z.number().min(o.min, error).max(o.max, error));
  return leaf('integer', schema, o);
}

/** A TCP port; 0 takes a free one. */
export const port = <const O extends Common>(o: O) => integer({ ...o, min: 0, max: 65_535 });

/** true or false. */
export function toggle<const O extends Common>(o: O): Leaf<Present<boolean, O>, 'switch'> {
  const schema = scalarText
    .pipe(z.enum(['true', 'false'], { error: 'must be true or false' }))
    .transform((v) => v === 'true');
  return leaf('switch', schema, o);
}

function quantity(parse: (text: string) => number | undefined, what: string, min: number, max: number) {
  return scalarText.transform((value, ctx) => {
    const n = parse(value);
    if (n !== undefined && n >= min && n <= max) return n;
    ctx.addIssue({ code: 'custom', message: what });
    return z.NEVER;
  });
}

/** A number of bytes, written `8MiB`. */
export function size<const O extends Common & { minBytes?: number; maxBytes?: number; fits?: string }>(
  o: O,
): Leaf<Present<number, O>, 'size'> {
  const what = o.fits ?? 'must be a size such as 64KiB, 8MiB or 20GiB';
  return leaf('size', quantity(parseSize, what, o.minBytes ?? 0, o.maxBytes ?? Number.MAX_SAFE_INTEGER), o);
}

/** Bytes per second, written `1MiB`. */
export function rate<const O extends Common>(o: O): Leaf<Present<number, O>, 'rate'> {
  const what = 'must be a size per second such as 1MiB';
  return leaf('rate', quantity(parseSize, what, 1, Number.MAX_SAFE_INTEGER), o);
}

/** Milliseconds, written `60s`. At most 24 days: timers of Node hold no more. */
export function duration<const O extends Common & { minMs?: number }>(
  o: O,
): Leaf<Present<number, O>, 'duration'> {
  const what = `must be a duration such as 500ms, 60s, 5m or 24h${o.minMs ? `, at least ${o.minMs}ms` : ''}`;
  return leaf('duration', quantity(parseDuration, what, o.minMs ?? 0, 2 ** 31 - 1), o);
}

/** One of a few words. */
export function choice<const C extends readonly [string, ...string[]], const O extends Common>(
  choices: C,
  o: O,
): Leaf<Present<C[number], O>, 'choice'> {
  const schema = scalarText.pipe(z.enum(choices, { error: `must be one of ${choices.join(', ')}` }));
  return leaf('choice', schema, o, choices);
}

/** A secret; `<name>_file` is an option beside it and names a file that holds it. */
export function secret<const O extends Common>(o: O): Leaf<Present<Secret, O>, 'secret'> {
  return leaf('secret', z.unknown(), o);
}

/** Path of a file or directory. */
export function file<const O extends Common>(o: O): Leaf<Present<string, O>, 'file'> {
  return leaf('file', scalarText.pipe(z.string().min(1, 'must be a path')), o);
}

/** A list of texts; in the environment by index or as YAML (`[a, b]`). */
export function texts<const O extends Common>(o: O): Leaf<Present<readonly string[], O>, 'texts'> {
  return leaf('texts', z.array(scalarText, { error: 'must be a list of texts' }), o);
}

export type Right = 'read' | 'write';

/** Bucket name or `*` to `read` or `write`; in the environment as YAML (`{registry: write}`). */
export function rights<const O extends Common>(
  o: O,
): Leaf<Present<Readonly<Record<string, Right>>, O>, 'rights'> {
  const error = 'must map bucket names (or *) to read or write, such as {registry: write, "*": read}';
  return leaf('rights', z.record(z.string(), z.enum(['read', 'write'], { error }), { error }), o);
}

export const group = <F extends Fields>(about: string, fields: F): Group<F> => ({
  node: 'group',
  fields,
  about,
});
export const list = <F extends Fields>(about: string, fields: F): List<F> => ({
  node: 'list',
  fields,
  about,
});
