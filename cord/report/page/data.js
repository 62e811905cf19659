// Blocks of data: base64 of gzipped JSON, inflated when asked for.

const byId = (id) => document.getElementById(id);

async function inflate(id) {
  const packed = atob(byId(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

// A few blocks of trees are kept inflated, the latest ones.
const KEPT_BLOCKS = 4;
const blocks = new Map();

function treesOf(block) {
  const known = blocks.get(block) || inflate(`trees-${block}`);
  blocks.delete(block);
  blocks.set(block, known);
  if (blocks.size > KEPT_BLOCKS) blocks.delete(blocks.keys().next().value);
  return known;
}

let found = null;
const parsed = new Promise((ready) => {
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', ready, { once: true });
  else ready();
});

// Where each problem's tree is; the last block of the file.
async function places() {
  await parsed;
  found ??= inflate('places');
  return found;
}

// The whole of a problem, or null where only its line is in this file.
async function problemOf(line) {
  const { block, within } = await places();
  return block[line] >= 0 ? (await treesOf(block[line]))[within[line]] : null;
}
