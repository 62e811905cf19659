// One problem: its question and verdict, its tree, and a path through it to read.

const AT_ONCE = 6;
let turn = 0;

async function show(line) {
  chosenLine = line;
  markChosen();
  const mine = ++turn;
  const problem = await problemOf(line);
  if (mine !== turn) return; // another one was chosen meanwhile
  const box = byId('problem');
  box.replaceChildren(...(problem === null ? lineAlone(line) : opened(line, problem)));
  box.scrollTop = 0;
  box.dataset.shows = lines.id[line];
}

function top(line, id) {
  const steer = make('span', 'steer');
  for (const [sign, by, says] of [['‹', -1, 'The one before (k)'], ['›', 1, 'The next one (j)']]) {
    const button = make('button', '', sign);
    button.type = 'button';
    button.title = says;
    button.setAttribute('aria-label', says);
    button.onclick = () => go(by);
    steer.append(button);
  }
  const back = make('a', 'back', 'all problems');
  back.href = '#explorer';
  back.onclick = (event) => {
    event.preventDefault();
    byId('explorer').scrollIntoView();
  };
  const heading = words('h2', '', id);
  const badge = make('span', `badge ${outcomeClass(lines.outcome[line])}`, about.outcomes[lines.outcome[line]]);
  return make('div', 'top', back, heading, badge, steer);
}

function lineAlone(line) {
  const isRow = lines.steps[line] === null && about.outcomes[lines.outcome[line]] === 'quarantined';
  const cut = isRow
    ? 'This row of the source was set aside before it became a problem.'
    : 'Only its line is in this file, which is kept small. This puts the whole of it in:';
  return [
    top(line, lines.id[line]),
    prose(lines.question[line]),
    lines.note[line] ? words('p', 'note', lines.note[line]) : null,
    make('p', 'hint', cut),
    isRow ? null : words('pre', 'command', `cord report ${about.run} --problem ${lines.id[line]}`),
  ].filter(Boolean);
}

function pair(name, value, title) {
  const box = make('div', '', make('dt', '', name), value instanceof Node ? make('dd', '', value) : words('dd', '', value));
  if (title) box.title = title;
  return box;
}

function opened(line, problem) {
  const best = problem.ways[0];
  const question = prose(problem.question);
  question.classList.add('question');
  const facts = make('dl', 'facts');
  const answers = [problem.answer, ...problem.alternatives].join('  or  ');
  facts.append(pair('reference', prose(answers)));
  if (best) {
    facts.append(
      pair('answer', best.finished ? prose(best.answer ?? '–') : 'not finished'),
      pair('S', score(best.score), `Before the first step it was ${score(best.start)}.`),
      pair('steps', whole(best.steps)),
      pair('tokens', `${whole(best.tokens)} of ${whole(best.proposed)}`, 'On this path, of all that were sampled for the problem.'),
    );
  }
  if (problem.source) facts.append(pair('source', problem.source));
  if (problem.madeBy && problem.madeBy !== about.run) facts.append(pair('decoded by', problem.madeBy, 'An earlier run of the same search.'));
  const nodes = problem.nodes;
  return [
    top(line, problem.id),
    question,
    facts,
    ...verdicts(problem),
    problem.whole || !nodes.text.length ? null : make('p', 'hint', 'Only the winning path is in this file, which is kept small. This puts the whole tree in:'),
    problem.whole || !nodes.text.length ? null : words('pre', 'command', `cord report ${about.run} --problem ${problem.id}`),
    ...(nodes.text.length ? explored(problem) : []),
    problem.text ? make('article', 'step', prose(problem.text)) : null,
    ...others(problem),
  ].filter(Boolean);
}

function verdicts(problem) {
  const best = problem.ways[0];
  const notes = [];
  if (best && best.outcome) {
    const note = make('p', `note o-${best.outcome}`, make('b', '', best.outcome), ' ');
    note.append(words('span', '', best.reason), make('small', '', ` (${best.method})`));
    notes.push(note);
  }
  for (const aside of problem.asides) {
    const note = make('p', 'note o-quarantined', make('b', '', `quarantined (${plain(aside.stage)})`), ' ');
    note.append(words('span', '', aside.reason));
    notes.push(note);
  }
  for (const drop of problem.drops) {
    const note = make('p', 'note o-left-out', make('b', '', `left out (${plain(drop.stage)}${drop.rank ? `, trajectory ${drop.rank + 1}` : ''})`), ' ');
    note.append(words('span', '', drop.reason));
    if (drop.matched) note.append(words('q', '', drop.matched));
    notes.push(note);
  }
  if (problem.missing.length) notes.push(words('p', 'note', `could not be reached in some round: ${problem.missing.join(', ')}`));
  return notes;
}

// The tree and the path that is read in it.
function explored(problem) {
  const nodes = problem.nodes;
  const winning = problem.path;
  const reading = make('div', 'reading');
  const map = make('div', 'map');
  const read = (path, at) => {
    const cards = path.map((one, place) => () => step(nodes, one, place, winning, (other) => read(pathTo(nodes, other), other)));
    reading.replaceChildren(...pathNote(nodes, path, winning, () => read(winning)), ...cards.slice(0, AT_ONCE).map((card) => card()));
    if (map.firstChild) markPath(map.firstChild, path);
    fill(reading, cards.slice(AT_ONCE), at === undefined ? () => {} : () => reading.querySelector(`[data-step="${at}"]`)?.scrollIntoView({ block: 'nearest', behavior: 'smooth' }));
  };
  const end = winning.length ? winning : pathTo(nodes, best(nodes));
  if (problem.whole) {
    const legend = make('p', 'legend', 'Each point is a proposal: ', make('b', '', 'filled'), ' if the search kept it, ', make('b', '', 'large'), ' on the winning path, with a ', make('b', '', 'white heart'), ' where it ends. Click one to read its path.');
    map.append(drawTree(nodes, winning, byId('problem').clientWidth - 40, (at) => read(nodes.parent[at] === -2 ? [at] : pathTo(nodes, at), at)));
    read(end);
    return [make('h3', '', 'Every proposal'), map, legend, make('h3', '', 'Step by step'), reading];
  }
  read(end);
  return [make('h3', '', 'Step by step'), reading];
}

const best = (nodes) => nodes.score.reduce((found, value, at) => (value > nodes.score[found] ? at : found), 0);

// What does not fit on the screen at once is drawn behind it, so that picking is quick.
function fill(box, cards, done) {
  const mine = (box.fillTurn = (box.fillTurn || 0) + 1);
  const some = () => {
    if (box.fillTurn !== mine || !cards.length) return done();
    box.append(...cards.splice(0, AT_ONCE).map((card) => card()));
    setTimeout(some, 0);
  };
  setTimeout(some, 0);
}

function pathNote(nodes, path, winning, back) {
  if (!winning.length || path.at(-1) === winning.at(-1)) return [];
  const button = make('button', '', 'back to the winning path');
  button.type = 'button';
  button.onclick = back;
  const dropped = path.some((at) => !(nodes.marks[at] & KEPT));
  return [make('p', 'note', dropped ? 'You are reading a path that the search dropped. ' : 'You are reading a path that did not win. ', button)];
}

function chips(nodes, at) {
  return nodes.authors[at].map((author) => {
    const chip = words('span', 'chip', about.authors[author]);
    chip.style.setProperty('--author', colourOf(author));
    return chip;
  });
}

function measures(nodes, at) {
  const meter = make('span', 'meter');
  meter.style.setProperty('--score', nodes.score[at] ?? 0);
  const gain = make('span', nodes.gain[at] >= 0 ? 'gain up' : 'gain down', gainText(nodes.gain[at]));
  gain.title = 'Gain: log S after this step less log S before it.';
  const value = make('span', 'value', `S ${score(nodes.score[at])}`);
  value.title = 'How predictable the right answer is behind this step; 1 is certain.';
  return make('span', 'measures', value, meter, gain, make('small', '', `${whole(nodes.tokens[at])} tokens`), nodes.marks[at] & CUT ? make('small', '', 'cut at the cap') : null);
}

function step(nodes, at, place, winning, choose) {
  const card = make('article', winning.includes(at) ? 'step winning' : nodes.marks[at] & KEPT ? 'step' : 'step dropped');
  card.dataset.step = at;
  card.style.setProperty('--author', colourOf(nodes.authors[at][0]));
  card.append(make('header', '', make('span', 'number', String(place + 1)), ...chips(nodes, at), measures(nodes, at)), prose(nodes.text[at]));
  const rivals = nodes.round.flatMap((round, other) => (round === nodes.round[at] && other !== at ? [other] : []));
  if (rivals.length) card.append(rivalsOf(nodes, at, rivals, choose));
  return card;
}

function rivalsOf(nodes, at, rivals, choose) {
  const kept = rivals.filter((other) => nodes.marks[other] & KEPT).length;
  const box = make('details', 'rivals', make('summary', '', `${rivals.length} other proposal${rivals.length > 1 ? 's' : ''} in round ${nodes.round[at] + 1}, ${kept} kept`));
  box.addEventListener('toggle', () => {
    if (!box.open || box.children.length > 1) return;
    rivals.sort((a, b) => nodes.score[b] - nodes.score[a]);
    for (const other of rivals) box.append(rival(nodes, at, other, choose));
  });
  return box;
}

function rival(nodes, at, other, choose) {
  const kept = nodes.marks[other] & KEPT;
  const card = make('article', kept ? 'rival kept' : 'rival');
  card.style.setProperty('--author', colourOf(nodes.authors[other][0]));
  const button = make('button', '', 'read its path');
  button.type = 'button';
  button.onclick = () => choose(other);
  const same = nodes.parent[other] === nodes.parent[at] ? null : make('small', '', 'on another prefix');
  card.append(make('header', '', ...chips(nodes, other), kept ? make('span', 'mark', 'kept') : make('span', 'mark off', 'dropped'), same, measures(nodes, other), nodes.parent[other] === -2 ? null : button), prose(nodes.text[other]));
  return card;
}

// The other trajectories of the last beam.
function others(problem) {
  if (problem.ways.length < 2) return [];
  const table = make('table', '', make('thead', '', make('tr', '', ...['', 'S', 'steps', 'tokens', 'answer', 'verdict'].map((name) => make('th', '', name)))));
  const body = make('tbody');
  for (const way of problem.ways) {
    const verdict = words('td', way.outcome ? `o-${way.outcome}` : '', way.outcome ? `${way.outcome}: ${way.reason}` : '–');
    body.append(make('tr', '', make('td', '', String(way.rank + 1)), make('td', '', score(way.score)), make('td', '', whole(way.steps)), make('td', '', whole(way.tokens)), words('td', '', way.finished ? way.answer ?? '–' : 'not finished'), verdict));
  }
  table.append(body);
  return [make('h3', '', 'The last beam'), make('div', 'scroll', table)];
}
