// The list of all problems: only the rows in sight are in the document.

const ROW = 62;
const lines = { id: [], question: [], answer: [], outcome: [], score: [], start: [], steps: [], tokens: [], teachers: [], note: [] };
let about = null;
let shown = new Int32Array(0);
let chosenLine = -1;
const wanted = { text: '', outcomes: new Set(), teacher: '', order: 'id' };
const searched = [];

const colourOf = (author) => about.colours[author] || '#888';
const outcomeClass = (outcome) => 'o-' + about.outcomes[outcome].replaceAll(' ', '-');

function dot(author) {
  const node = make('i', 'dot');
  node.style.background = colourOf(author);
  node.title = plain(about.authors[author]);
  return node;
}

function haystack(line) {
  searched[line] ??= [lines.id[line], lines.question[line], lines.answer[line], lines.note[line]].join('\n').toLowerCase();
  return searched[line];
}

const ORDERS = {
  low: (a, b) => (lines.score[a] ?? 2) - (lines.score[b] ?? 2),
  high: (a, b) => (lines.score[b] ?? -1) - (lines.score[a] ?? -1),
  hard: (a, b) => (lines.start[a] ?? 2) - (lines.start[b] ?? 2),
  long: (a, b) => (lines.steps[b] ?? -1) - (lines.steps[a] ?? -1),
  dear: (a, b) => (lines.tokens[b] ?? -1) - (lines.tokens[a] ?? -1),
};

// Choose and order the lines by what is wanted, and draw.
function refresh() {
  const parts = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
  const teacher = wanted.teacher === '' ? -1 : Number(wanted.teacher);
  const found = [];
  for (let line = 0; line < lines.id.length; line++) {
    if (wanted.outcomes.size && !wanted.outcomes.has(lines.outcome[line])) continue;
    if (teacher >= 0 && !lines.teachers[line].includes(teacher)) continue;
    if (parts.length && !parts.every((part) => haystack(line).includes(part))) continue;
    found.push(line);
  }
  const order = ORDERS[wanted.order];
  if (order) found.sort((a, b) => order(a, b) || a - b);
  shown = Int32Array.from(found);
  byId('found').textContent =
    `${whole(shown.length)} of ${whole(lines.id.length)} problems` + (shown.length ? '' : ': nothing fits');
  byId('rows').style.height = `${shown.length * ROW}px`;
  byId('rows').replaceChildren();
  drawn.clear();
  byId('list').scrollTop = Math.max(0, shown.indexOf(chosenLine) * ROW - 3 * ROW);
  drawRows();
}

const drawn = new Map();

function drawRows() {
  const list = byId('list');
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  for (const [place, node] of drawn) {
    if (place < first || place >= last) {
      node.remove();
      drawn.delete(place);
    }
  }
  for (let place = first; place < last; place++) {
    if (!drawn.has(place)) {
      const node = row(place);
      drawn.set(place, node);
      byId('rows').append(node);
    }
  }
  markChosen();
}

function row(place) {
  const line = shown[place];
  const node = make('div', `line ${outcomeClass(lines.outcome[line])}`);
  node.id = `line-${line}`;
  node.setAttribute('role', 'option');
  node.setAttribute('aria-setsize', shown.length);
  node.setAttribute('aria-posinset', place + 1);
  node.style.top = `${place * ROW}px`;
  node.dataset.line = line;
  const authors = make('span', 'authors', ...lines.teachers[line].slice(0, 6).map(dot));
  const value = make('span', 'score', score(lines.score[line]));
  value.title = 'S of the best trajectory';
  node.append(
    make('div', 'first', words('span', 'id', lines.id[line]), authors, value),
    make('div', 'second', make('span', 'outcome', about.outcomes[lines.outcome[line]]), words('span', 'question', lines.question[line])),
  );
  return node;
}

function markChosen() {
  for (const node of drawn.values()) {
    const chosen = Number(node.dataset.line) === chosenLine;
    node.classList.toggle('chosen', chosen);
    node.setAttribute('aria-selected', chosen);
  }
  if (shown.includes(chosenLine)) byId('list').setAttribute('aria-activedescendant', `line-${chosenLine}`);
}

// Bring the chosen line into sight.
function follow() {
  const list = byId('list');
  const place = shown.indexOf(chosenLine);
  if (place < 0) return;
  if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
  else if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
  drawRows();
}

function outcomeButtons() {
  const counts = about.outcomes.map(() => 0);
  for (const outcome of lines.outcome) counts[outcome]++;
  byId('outcomes').replaceChildren(
    ...about.outcomes.flatMap((name, outcome) => {
      if (!counts[outcome]) return [];
      const button = make('button', outcomeClass(outcome), `${name} `, make('b', '', whole(counts[outcome])));
      button.type = 'button';
      button.setAttribute('aria-pressed', wanted.outcomes.has(outcome));
      button.onclick = () => {
        if (!wanted.outcomes.delete(outcome)) wanted.outcomes.add(outcome);
        button.setAttribute('aria-pressed', wanted.outcomes.has(outcome));
        refresh();
      };
      return [button];
    }),
  );
}
