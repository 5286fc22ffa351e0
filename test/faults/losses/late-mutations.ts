/** As mutations.ts, of late-losses.test.ts. */
import { COMMITTER, UNREADABLE, WRITE_CONCERN, WRONG, type Mutation } from './mutations.js';

const OPEN_BUCKET = 'src/journal/open-bucket.ts';

export const LATE_MUTATIONS: readonly Mutation[] = [
  {
    loss: 'B1',
    takesOut: 'a change is set aside only when no push of it can land any more',
    edits: [
      {
        file: COMMITTER,
        from: 'if (areOnTheirWay()) await this.#fence(signal);',
        to: 'return true;',
      },
      {
        file: COMMITTER,
        from: 'if (!bases.ready || condition.frozen) return false;',
        to: 'if (!bases.ready || condition.frozen || journal.pendingCount === 0) return false;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'B2',
    takesOut: 'nothing is taken for done where others are known to have written',
    edits: [{ file: WRITE_CONCERN, from: "if (look === 'elsewhere')", to: 'if (look === undefined)' }],
    finds: WRONG,
  },
  {
    loss: 'B3',
    takesOut: 'a frozen bucket takes nothing for done',
    edits: [
      {
        file: WRITE_CONCERN,
        from: 'const { frozen } = bucket.state.status();',
        to: 'const frozen = undefined as { reason: string } | undefined; void bucket;',
      },
      { file: WRITE_CONCERN, from: "if (look === 'elsewhere')", to: 'if (look === undefined)' },
    ],
    finds: WRONG,
  },
  {
    loss: 'B4',
    takesOut: 'whoever waits for a change that is set aside is refused with it',
    edits: [{ file: WRITE_CONCERN, from: 'if (!setAside) return undefined;', to: 'return undefined;' }],
    finds: WRONG,
  },
  {
    loss: 'B5',
    takesOut: 'a Complete that is repeated is answered only where its object stands',
    edits: [
      {
        file: 'src/objects/object-service.ts',
        from: 'if ((await bucket.state.get(key))?.etag !== etag) throw noSuchUpload(uploadId);',
        to: '',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'B6',
    takesOut: 'an index that is newer than the log is not believed',
    edits: [
      {
        file: OPEN_BUCKET,
        from: 'if (marker.landedSeq <= journal.lastSeq && isKnown) return base;',
        to: 'return base;',
      },
    ],
    finds: WRONG,
  },
  {
    loss: 'B7',
    takesOut: 'what others rest on is not dropped before they are',
    edits: [
      { file: OPEN_BUCKET, from: "if (preset === 'registry' && row.shown)", to: 'if (preset === undefined)' },
    ],
    finds: UNREADABLE,
  },
  {
    loss: 'B8',
    takesOut: 'a change that is dropped gives way to an older one that waits',
    edits: [
      {
        file: 'src/journal/journal.ts',
        from: 'const olderOf = (key: ObjectKey) => (keep ? Promise.resolve(undefined) : this.#lastPendingOf(key));',
        to: 'const olderOf = () => Promise.resolve(undefined);',
      },
    ],
    finds: WRONG,
  },
];
