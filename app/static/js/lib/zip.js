// A zip archive of files without compression, made of references: nothing is copied into memory.
//
// The same files in the same folders always give the same bytes, so that an upload of a folder can
// be continued by choosing the folder again.

const LIMIT_BYTES = 0xffffffff;
const LIMIT_FILES = 0xffff;
const UTF8 = 0x0800; // flag: names are UTF-8
const DAY_ZERO = 0x0021; // 1 January 1980, the first day that a zip knows

export const IMAGE_NAME = /\.(jpe?g|png|ppm|bmp|pgm|tiff?|webp)$/i;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The CRC-32 of `bytes` after those that gave `before`. */
export function crc32(bytes, before = 0) {
  let value = ~before;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return ~value >>> 0;
}

/** Why such files cannot be packed here; "" where they can. */
export function whyNot(entries) {
  const bytes = entries.reduce((sum, { file, path }) => sum + file.size + 2 * path.length + 200, 0);
  if (entries.length >= LIMIT_FILES) return "There are too many files to be packed in a browser: pack them as a .zip.";
  if (bytes >= LIMIT_BYTES) return "The files have more than 4 GB: pack them as a .zip.";
  return entries.length ? "" : "There are no images in it.";
}

/** A Blob that is a zip of [{ path, file }]; `onProgress` is told how many files have been read. */
export async function zipOf(entries, { onProgress = () => {}, signal } = {}) {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [index, { path, file }] of sorted.entries()) {
    signal?.throwIfAborted();
    const name = new TextEncoder().encode(path);
    const fields = { crc: await crcOf(file), size: file.size, name };
    const header = localHeader(fields);
    directory.push(centralHeader(fields, offset), name);
    parts.push(header, name, file);
    offset += header.byteLength + name.byteLength + file.size;
    onProgress(index + 1, sorted.length);
  }
  const length = directory.reduce((sum, part) => sum + part.byteLength, 0);
  return new Blob([...parts, ...directory, endRecord(sorted.length, length, offset)], { type: "application/zip" });
}

async function crcOf(file) {
  let value = 0;
  for (const reader = file.stream().getReader(); ; ) {
    const { done, value: bytes } = await reader.read();
    if (done) return value;
    value = crc32(bytes, value);
  }
}

function localHeader({ crc, size, name }) {
  return record([[4, 0x04034b50], [2, 20], [2, UTF8], [2, 0], [2, 0], [2, DAY_ZERO], [4, crc], [4, size], [4, size], [2, name.byteLength], [2, 0]]);
}

function centralHeader({ crc, size, name }, offset) {
  return record([[4, 0x02014b50], [2, 20], [2, 20], [2, UTF8], [2, 0], [2, 0], [2, DAY_ZERO], [4, crc], [4, size], [4, size], [2, name.byteLength], [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]);
}

function endRecord(files, length, offset) {
  return record([[4, 0x06054b50], [2, 0], [2, 0], [2, files], [2, files], [4, length], [4, offset], [2, 0]]);
}

/** [bytes, value] pairs, little-endian. */
function record(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let place = 0;
  for (const [width, value] of fields) {
    if (width === 4) view.setUint32(place, value, true);
    else view.setUint16(place, value, true);
    place += width;
  }
  return bytes;
}
