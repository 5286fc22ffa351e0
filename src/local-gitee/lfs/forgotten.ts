/** Objects that the fault `lfs-forget` took and threw away: verify still says that they are there. */
export class Forgotten {
  readonly #oids = new Set<string>();

  add(projectId: number, oid: string): void {
    this.#oids.add(`${projectId}/${oid}`);
  }

  /** The object came again and was kept. */
  delete(projectId: number, oid: string): void {
    this.#oids.delete(`${projectId}/${oid}`);
  }

  has(projectId: number, oid: string): boolean {
    return this.#oids.has(`${projectId}/${oid}`);
  }
}
