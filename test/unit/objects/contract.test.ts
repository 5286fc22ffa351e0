import { objectsApiContract } from '../../contract/objects-api.js';
import { MemoryObjects } from '../../support/memory-objects.js';
import { startObjectService } from '../../support/object-service.js';

objectsApiContract('ObjectService', () => startObjectService());
objectsApiContract('ObjectService over GatedState and GatedChunks', () =>
  startObjectService({ isGated: true }),
);
objectsApiContract('MemoryObjects', async () => {
  const objects = new MemoryObjects(['images', 'other']);
  return {
    objects,
    putRemoteOnly: async (key, bytes) => objects.putRemoteOnly('images', key, bytes),
    setAway: (isAway) => {
      objects.isAway = isAway;
    },
    pass: async () => {},
    settle: (promise) => promise,
    close: async () => {},
  };
});
