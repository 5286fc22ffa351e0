import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const ENVIRONMENT = `export AWS_S3_ENDPOINT=s3.example.com AWS_HTTPS=NO AWS_VIRTUAL_HOSTING=FALSE
# GeoTIFF goes back in a file that it writes.
export CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE=YES`;

export const gdal: S3Client = {
  name: 'GDAL',
  packages: { debian: ['gdal-bin', 'python3-gdal'] },
  configuration: [{ language: 'sh', text: ENVIRONMENT }],
  prepare: (place) =>
    place.sh(
      'gdal_create -q -outsize 3000 3000 -bands 2 -burn 7 -burn 9 -a_srs EPSG:4326 -a_ullr 0 1 1 0 raster.tif',
    ),
  works: [
    {
      en: 'rasters written to `/vsis3/` and read back, also in parts (ranges)',
      zh: '栅格写入 `/vsis3/` 并读回,也可只读一部分(范围请求)',
      check: async (place) => {
        await place.sh(`${ENVIRONMENT}
          gdal_translate -q raster.tif /vsis3/files/there/raster.tif
          gdal_translate -q /vsis3/files/there/raster.tif back.tif
          gdalcompare.py raster.tif back.tif
          [ "$(gdallocationinfo -valonly -b 2 /vsis3/files/there/raster.tif 2900 2900)" = 9 ]`);
      },
    },
    {
      en: 'parts of 5 MiB and more while writing, renames, lists, deletion',
      zh: '写入时分片上传、改名、列表、删除',
      check: async (place) => {
        await place.sh(`${ENVIRONMENT}
          export VSIS3_CHUNK_SIZE=5
          python3 - <<'PYTHON'
from osgeo import gdal
gdal.UseExceptions()
data = bytes(range(256)) * 50000
f = gdal.VSIFOpenL('/vsis3/files/there/large', 'wb')
assert gdal.VSIFWriteL(data, 1, len(data), f) == len(data)
assert gdal.VSIFCloseL(f) == 0
assert gdal.Rename('/vsis3/files/there/large', '/vsis3/files/there/moved') == 0
assert gdal.ReadDir('/vsis3/files/there') == ['moved', 'raster.tif']
f = gdal.VSIFOpenL('/vsis3/files/there/moved', 'rb')
assert bytes(gdal.VSIFReadL(1, len(data), f)) == data
gdal.VSIFCloseL(f)
assert gdal.Unlink('/vsis3/files/there/raster.tif') == 0
PYTHON`);
        assert.deepEqual(await place.keys(), ['there/moved']);
      },
    },
  ],
  limits: [],
};
