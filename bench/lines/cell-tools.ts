import type { ClientHost } from './client-host.js';
import type { LineNetwork } from './network.js';
import type { Office } from './office.js';

/** What a cell works with. */
export interface CellTools {
  readonly network: LineNetwork;
  readonly office: Office;
  readonly client: ClientHost;
  readonly directory: string;
}
