// Wires the page up: the list at once, a problem when it is chosen, by mouse, keys or address.

const named = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
};

// Choose a line; `moves` says that its address is to be noted.
function choose(line, moves = true) {
  if (line === undefined || line < 0) return;
  if (moves) history.replaceState(null, '', '#' + encodeURIComponent(lines.id[line]));
  show(line);
  follow();
}

// The next (1) or the one before (-1) in the list as it is shown.
function go(by) {
  const place = shown.indexOf(chosenLine);
  choose(shown[place < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, place + by))]);
}

const BY_KEY = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.matches('input, select, textarea');
  if (event.key === '/' && !inField) {
    event.preventDefault();
    byId('search').focus();
  } else if (event.key === 'Escape' && event.target === byId('search')) {
    byId('list').focus();
  } else if (event.target === byId('list') ? event.key in BY_KEY : !inField && 'jk'.includes(event.key)) {
    event.preventDefault();
    go(BY_KEY[event.key]);
  } else if (event.target === byId('search') && event.key === 'Enter') {
    search();
    choose(shown[0]);
  }
}

let later = 0;

function search() {
  clearTimeout(later);
  if (wanted.text === byId('search').value) return;
  wanted.text = byId('search').value;
  refresh();
}

function wire() {
  byId('search').addEventListener('input', () => {
    clearTimeout(later);
    later = setTimeout(search, 90);
  });
  byId('teacher').addEventListener('change', (event) => {
    wanted.teacher = event.target.value;
    refresh();
  });
  byId('order').addEventListener('change', (event) => {
    wanted.order = event.target.value;
    refresh();
  });
  let drawing = false;
  byId('list').addEventListener('scroll', () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      drawRows();
    });
  });
  new ResizeObserver(drawRows).observe(byId('list'));
  byId('rows').addEventListener('click', (event) => {
    const row = event.target.closest('.line');
    if (!row) return;
    choose(Number(row.dataset.line));
    if (byId('finder').offsetTop !== byId('problem').offsetTop) byId('problem').scrollIntoView();
  });
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', () => choose(lines.id.indexOf(named()), false));
}

async function start() {
  about = await inflate('about');
  about.authors.forEach((name, author) => {
    const option = new Option(plain(name), String(author));
    byId('teacher').append(option);
  });
  for (const node of document.querySelectorAll('[data-author]')) {
    node.style.background = colourOf(about.authors.indexOf(node.dataset.author));
  }
  wire();
  for (let block = 0; block < about.blocks; block++) {
    const some = await inflate(`lines-${block}`);
    for (const name of Object.keys(lines)) for (const value of some[name]) lines[name].push(value);
    if (block === 0) refresh(); // the first ones are there while the others are still inflated
  }
  outcomeButtons();
  refresh();
  performance.mark('list');
  document.documentElement.dataset.ready = 'list';
  const asked = lines.id.indexOf(named());
  if (lines.id.length) choose(asked >= 0 ? asked : shown[0], asked >= 0);
  else byId('problem').replaceChildren(make('p', 'hint', 'This run has no problems yet.'));
}

// What this file has room for, where that is not everything.
async function tellRoom() {
  const { whole: trees, paths, unlisted } = await places();
  const told = lines.steps.filter((steps) => steps !== null).length;
  if (trees >= told && !unlisted) return;
  byId('room').textContent =
    `To keep this file small ${whole(trees)} problems have their whole tree, ${whole(paths)} their winning path` +
    (told > trees + paths ? `, ${whole(told - trees - paths)} this line` : '') +
    (unlisted ? `; ${whole(unlisted)} more are not listed` : '') + '. ';
  byId('room').append(words('code', '', `cord report ${about.run} --problem ID`), ' puts one in whole.');
}

start().then(tellRoom);
