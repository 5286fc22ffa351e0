/**
 * What Amazon S3 knows, read out of the schemas that @aws-sdk/client-s3 carries with it: every operation, with the
 * method, path and query that it goes by, and every header and parameter that it may have. Nothing here is a list of
 * ours, so an operation that is new in S3 is tested the day the SDK is updated.
 */
import * as sdk from '@aws-sdk/client-s3';

export interface ModelMember {
  readonly kind: 'header' | 'prefix' | 'query';
  /** As on the wire, in lower case for headers. */
  readonly name: string;
  readonly isRequired: boolean;
}

export interface ModelOperation {
  readonly name: string;
  readonly method: string;
  /** `/`, `/{Key+}` or a path of its own; the bucket stands before it. */
  readonly path: string;
  /** Parameters that every request of it has. */
  readonly query: Readonly<Record<string, string>>;
  readonly isOfBucket: boolean;
  readonly members: readonly ModelMember[];
}

type Traits = Readonly<Record<string, unknown>>;
/** 9: an operation; 3: a structure (@smithy/types, StaticOperationSchema and StaticStructureSchema). */
type OperationSchema = readonly [9, string, string, Traits, () => StructureSchema, unknown];
type StructureSchema = readonly [3, string, string, unknown, string[], unknown[], number?];

function membersOf([, , , , names, schemas, required = 0]: StructureSchema): ModelMember[] {
  return names.flatMap((_, i): ModelMember[] => {
    const schema = schemas[i];
    const traits: unknown = Array.isArray(schema) ? (schema as unknown[])[1] : undefined;
    if (typeof traits !== 'object' || traits === null) return [];
    const { httpHeader, httpPrefixHeaders, httpQuery } = traits as Record<string, string | undefined>;
    const isRequired = i < required;
    if (httpHeader !== undefined) return [{ kind: 'header', name: httpHeader.toLowerCase(), isRequired }];
    if (httpPrefixHeaders !== undefined) return [{ kind: 'prefix', name: httpPrefixHeaders, isRequired }];
    return httpQuery === undefined ? [] : [{ kind: 'query', name: httpQuery, isRequired }];
  });
}

function operationOf([, , name, traits, input]: OperationSchema): ModelOperation {
  const [method = '', uri = ''] = traits['http'] as [string, string, number];
  const [path = '', query = ''] = uri.split('?');
  const structure = input();
  return {
    name,
    method,
    path,
    query: Object.fromEntries(new URLSearchParams(query)),
    isOfBucket: structure[4].includes('Bucket'),
    members: membersOf(structure),
  };
}

export const S3_MODEL: readonly ModelOperation[] = Object.values(sdk as Record<string, unknown>)
  .filter((value): value is OperationSchema => Array.isArray(value) && value[0] === 9)
  .map(operationOf);
