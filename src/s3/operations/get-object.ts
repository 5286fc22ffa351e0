import { READ_HEADERS, READ_PARAMETERS, readObject } from '../object-read.js';
import type { Operation } from '../operation.js';

/**
 * GetObject. Headers go out with the first byte, so that bytes that cannot be had are an S3 error and not a
 * broken connection; a source that fails later, or is short, breaks the connection and never ends cleanly.
 */
export const getObject: Operation = {
  name: 'GetObject',
  target: 'object',
  right: 'read',
  parameters: READ_PARAMETERS,
  headers: READ_HEADERS,
  run: async (request) => {
    const { objects, bucket, key, context } = request;
    const { result, ...answer } = await readObject(request, (options) =>
      objects.getObject(bucket, key, options, context),
    );
    const lengthBytes = result.endBytes - result.startBytes;
    const { bytes, giveBack } = result;
    return {
      ...answer,
      body: {
        open: () => result.open(),
        lengthBytes,
        ...(bytes ? { bytes } : {}),
        ...(giveBack ? { giveBack } : {}),
      },
    };
  },
};
