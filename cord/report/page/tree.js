// A problem's proposals as a tree: a column a step, each proposal under the one that it continues.

const SVG = 'http://www.w3.org/2000/svg';
const KEPT = 1;
const FINISHED = 2;
const CUT = 4;
const GAP = 17;
const MOST_COLUMN = 104;
const LEAST_COLUMN = 28;

function drawing(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// The proposals from the root to this one.
function pathTo(nodes, proposal) {
  const path = [];
  for (let at = proposal; at >= 0; at = nodes.parent[at]) path.unshift(at);
  return path;
}

function columnsOf(nodes) {
  const depth = [];
  const columns = [];
  nodes.parent.forEach((parent, at) => {
    depth[at] = parent >= 0 ? depth[parent] + 1 : parent === -1 ? 0 : nodes.round[at];
    (columns[depth[at]] ??= []).push(at);
  });
  const height = [];
  const filled = Array.from(columns, (column) => column || []);
  for (const column of filled) {
    const above = (at) => (nodes.parent[at] >= 0 ? height[nodes.parent[at]] : 0);
    column.sort((a, b) => above(a) - above(b) || nodes.score[b] - nodes.score[a] || a - b);
    column.forEach((at, place) => (height[at] = (place - (column.length - 1) / 2) * GAP));
  }
  return { columns: filled, depth, height };
}

function drawTree(nodes, winning, room, choose) {
  const { columns, depth, height } = columnsOf(nodes);
  const step = Math.max(LEAST_COLUMN, Math.min(MOST_COLUMN, (room - 50) / columns.length));
  const tall = Math.max(1, ...columns.map((column) => column.length)) * GAP;
  const width = (columns.length + 0.6) * step + 20;
  const x = (at) => (at < 0 ? 14 : 14 + (depth[at] + 1) * step);
  const y = (at) => tall / 2 + 8 + (at < 0 ? 0 : height[at]);
  const svg = drawing('svg', { viewBox: `0 0 ${width} ${tall + 34}`, width, height: tall + 34, class: 'tree' });
  const onPath = new Set(winning);
  const edges = drawing('g', {});
  const points = drawing('g', {});
  columns.forEach((_, column) => {
    const mark = drawing('text', { x: 14 + (column + 1) * step, y: tall + 30, class: 'column' });
    mark.textContent = column + 1;
    edges.append(mark);
  });
  nodes.parent.forEach((parent, at) => {
    if (parent === -2) return;
    const half = (x(parent) + x(at)) / 2;
    const way = `M${x(parent)} ${y(parent)}C${half} ${y(parent)} ${half} ${y(at)} ${x(at)} ${y(at)}`;
    const edge = drawing('path', { d: way, class: edgeClass(nodes, at, onPath) });
    edge.dataset.edge = at;
    edges.append(edge);
  });
  points.append(drawing('circle', { cx: x(-1), cy: y(-1), r: 4, class: 'root' }));
  nodes.parent.forEach((_, at) => points.append(point(nodes, at, x(at), y(at), onPath, choose)));
  svg.append(edges, points);
  return svg;
}

const edgeClass = (nodes, at, onPath) => (onPath.has(at) ? 'edge winning' : nodes.marks[at] & KEPT ? 'edge kept' : 'edge');

function point(nodes, at, x, y, onPath, choose) {
  const kept = nodes.marks[at] & KEPT;
  const wins = onPath.has(at);
  const group = drawing('g', { class: wins ? 'point winning' : kept ? 'point kept' : 'point', transform: `translate(${x} ${y})` });
  group.style.setProperty('--author', colourOf(nodes.authors[at][0]));
  group.dataset.point = at;
  group.append(drawing('circle', { r: 10, class: 'reach' }), drawing('circle', { r: wins ? 7 : kept ? 5.5 : 4, class: 'body' }));
  if (nodes.marks[at] & FINISHED) group.append(drawing('circle', { r: wins ? 2.6 : 1.8, class: 'end' }));
  const title = drawing('title', {});
  title.textContent = plain(
    `${nodes.authors[at].map((author) => about.authors[author]).join(', ')} · round ${nodes.round[at] + 1} · ` +
      `S ${score(nodes.score[at])} · gain ${gainText(nodes.gain[at])} · ${nodes.tokens[at]} tokens` +
      `${kept ? '' : ' · dropped'}\n${nodes.text[at].trim().slice(0, 160)}`,
  );
  group.append(title);
  group.addEventListener('click', () => choose(at));
  return group;
}

// Ring the path that is being read.
function markPath(svg, path) {
  const reading = new Set(path.map(String));
  for (const node of svg.querySelectorAll('[data-point]')) node.classList.toggle('reading', reading.has(node.dataset.point));
  for (const node of svg.querySelectorAll('[data-edge]')) node.classList.toggle('reading', reading.has(node.dataset.edge));
}
