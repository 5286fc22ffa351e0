import type { CatFile } from '../../../../src/gitee/git/cat-file.js';
import { formatTree, objectId, type ObjectType } from '../../../../src/gitee/git/git-object.js';
import { ObjectStore } from '../../../../src/gitee/git/object-store.js';
import { planEdits } from '../../../../src/gitee/git/path-edits.js';
import { TreeBuilder, type ObjectSink } from '../../../../src/gitee/git/tree-builder.js';
import { put } from '../../../contract/head-remote.js';

/** Objects in memory, as a repository would have them. */
class Repository implements ObjectSink {
  readonly #objects = new Map<string, { type: ObjectType; body: Buffer }>();
  reads = 0;
  readonly store = new ObjectStore(
    '/nowhere',
    {
      read: async (id: string) => {
        this.reads += 1;
        return this.#objects.get(id)!;
      },
    } as unknown as CatFile,
    64 << 20,
  );

  async add(type: ObjectType, body: Uint8Array): Promise<string> {
    const id = objectId(type, body);
    this.#objects.set(id, { type, body: Buffer.from(body) });
    return id;
  }
}

test('trees are kept in their newest state: what is kept does not grow with every push', async () => {
  // Attacks invariant 5 over weeks: each push makes directories of its own and changes some that all of them share.
  const repository = new Repository();
  const { store } = repository;
  let root: string | null = null;
  let kept = 0;
  for (let n = 0; n < 300; n += 1) {
    const edits = [
      put(`blobs/${n}/data`, `${n}`),
      put(`apps/one/tags/v${n}/link`, `${n}`),
      put('hot', `${n}`),
    ];
    const readsBefore = repository.reads;
    const built = await new TreeBuilder(store, repository).build(root, planEdits(edits, ''));
    root = built.tree;
    store.forgetTrees(built.replaced);
    if (n === 20) kept = store.keptTrees;
    // What all pushes touch is there: nothing of it is read again.
    if (n > 1) expect(repository.reads).toBe(readsBefore);
  }
  expect(kept).toBeGreaterThanOrEqual(4);
  expect(store.keptTrees).toBe(kept);
});

test('a state that went is read again where something still builds on it', async () => {
  const repository = new Repository();
  const id = await repository.add('tree', formatTree(new Map()));
  const tree = formatTree(new Map([['x', { mode: '100644', id }]]));
  const other = await repository.add('tree', tree);
  repository.store.keepTree(other, tree);
  repository.store.forgetTrees([other, 'never there']);
  expect(repository.store.keptTrees).toBe(0);
  expect((await repository.store.readTree(other)).size).toBe(1);
  expect(repository.reads).toBe(1);
});
