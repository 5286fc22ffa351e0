/** In the gateway's process: which functions of its own ran since the last SIGUSR2, as a file per signal. */
import { renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';

const { SHAPE_ROOT, SHAPE_FILE } = process.env;
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
let n = 0;
process.on('SIGUSR2', () => {
  session.post('Profiler.takePreciseCoverage', (error, coverage) => {
    if (error) throw error;
    const touched = [];
    for (const { url, functions } of coverage.result) {
      if (!url.startsWith(SHAPE_ROOT)) continue;
      const file = url.slice(SHAPE_ROOT.length);
      for (const { functionName, ranges } of functions)
        if (ranges[0].count > 0) touched.push([file, `${functionName}@${ranges[0].startOffset}`]);
    }
    n += 1;
    writeFileSync(`${SHAPE_FILE}.part`, JSON.stringify(touched));
    renameSync(`${SHAPE_FILE}.part`, `${SHAPE_FILE}.${n}`);
  });
});
