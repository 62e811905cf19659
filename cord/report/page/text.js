// Text of models, users and data sets: shown, never run. Nothing here takes HTML.

const STEERS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]/g;
const WHOLE_PAIR = /[\ud800-\udbff][\udc00-\udfff]/;
const hex = (unit) => '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0');

// Marks that would steer the reader (direction, controls) and halves of pairs are written out.
const plain = (text) =>
  String(text ?? '').replace(/[\ud800-\udbff][\udc00-\udfff]|[\s\S]/g, (one) =>
    one.length === 2 && WHOLE_PAIR.test(one) ? one : one.replace(STEERS, hex));

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const child of children) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

// Somebody else's words as one element.
function words(tag, className, text) {
  const node = make(tag, className);
  node.dir = 'auto';
  node.textContent = plain(text);
  return node;
}

const MOST_PROSE = 60000;
const TOKEN = new RegExp(
  [
    '```[^\\n]*\\n([\\s\\S]{0,8000}?)(?:```|$(?![\\s\\S]))',
    '\\$\\$([\\s\\S]{1,3000}?)\\$\\$',
    '\\\\\\[([\\s\\S]{1,3000}?)\\\\\\]',
    '\\\\\\(([\\s\\S]{1,1500}?)\\\\\\)',
    '(\\\\begin\\{(align|equation|gather|multline|cases|array|[pbvB]?matrix)\\*?\\}[\\s\\S]{1,3000}?\\\\end\\{\\6\\*?\\})',
    '\\$(?!\\s)((?:[^$\\n\\\\]|\\\\.){1,800}?)(?<!\\s)\\$(?!\\d)',
    '`([^`\\n]{1,400})`',
    '\\*\\*([^*\\n]{1,400})\\*\\*',
    '^#{1,6} +([^\\n]{1,400})$',
    '\\\\(?:d?frac|boxed)\\{',
  ].join('|'),
  'gm',
);

// Text with its mathematics, headings, emphasis and code; everything else as it stands.
function prose(text) {
  const whole = String(text ?? '').trimEnd();
  const box = make('div', 'prose');
  box.dir = 'auto';
  const seen = whole.slice(0, MOST_PROSE);
  let from = 0;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(seen); found; found = TOKEN.exec(seen)) {
    const [all, fenced, display, bracketed, round, environment, , dollars, code, strong, heading] = found;
    let piece;
    let end = found.index + all.length;
    if (fenced !== undefined) piece = make('pre', '', words('code', '', fenced));
    else if (display !== undefined) piece = formula(display, true, all);
    else if (bracketed !== undefined) piece = formula(bracketed, true, all);
    else if (round !== undefined) piece = formula(round, false, all);
    else if (environment !== undefined) piece = formula(environment, true, all);
    else if (dollars !== undefined) piece = formula(dollars, false, all);
    else if (code !== undefined) piece = words('code', '', code);
    else if (strong !== undefined) piece = words('strong', '', strong);
    else if (heading !== undefined) piece = words('span', 'heading', heading);
    else {
      end = closed(seen, end, all.includes('frac') ? 2 : 1);
      if (end < 0) continue;
      piece = formula(seen.slice(found.index, end), false, seen.slice(found.index, end));
    }
    if (found.index > from) box.append(plain(seen.slice(from, found.index)));
    box.append(piece);
    from = TOKEN.lastIndex = end;
  }
  box.append(plain(seen.slice(from) + whole.slice(MOST_PROSE)));
  return box;
}

// Where so many groups in braces end, the first of which is open; -1 where they do not.
function closed(text, from, groups) {
  let depth = 1;
  for (let i = from; i < Math.min(text.length, from + 600); i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) {
      if (--groups === 0) return i + 1;
      if (text[i + 1] !== '{') return -1;
    }
  }
  return -1;
}

const MATHML = 'http://www.w3.org/1998/Math/MathML';
const MATHML_ATTRIBUTES = new Set([
  'accent', 'accentunder', 'columnalign', 'columnspacing', 'columnspan', 'columnlines', 'depth', 'dir',
  'display', 'displaystyle', 'fence', 'form', 'height', 'largeop', 'linebreak', 'linethickness', 'lspace',
  'mathbackground', 'mathcolor', 'mathvariant', 'mathsize', 'maxsize', 'minsize', 'movablelimits', 'notation',
  'rowalign', 'rowlines', 'rowspacing', 'rowspan', 'rspace', 'scriptlevel', 'separator', 'stretchy',
  'symmetric', 'voffset', 'width', 'class', 'xmlns', 'style',
]);
const MATHML_STYLE = /^[\w\s.:;%#,()+-]*$/;

// LaTeX as MathML; where it is none, the text as it stands.
function formula(latex, display, source) {
  const box = make(display ? 'div' : 'span', display ? 'formula display' : 'formula');
  try {
    temml.render(plain(latex), box, {
      displayMode: display, throwOnError: true, trust: false, strict: false, maxExpand: 200, maxSize: [20, 20],
    });
    if (!harmless(box)) throw new Error('not MathML alone');
    box.title = plain(latex).trim().slice(0, 300);
    return box;
  } catch {
    return words('span', 'formula broken', source);
  }
}

// Temml makes MathML elements only, and no link with `trust` off. The page does not rely on it.
function harmless(box) {
  for (const node of box.querySelectorAll('*')) {
    if (node.namespaceURI !== MATHML || node.localName === 'maction' || node.localName === 'annotation-xml') return false;
    for (const attribute of [...node.attributes]) {
      const name = attribute.name;
      const style = name === 'style' && (!MATHML_STYLE.test(attribute.value) || /url|position/i.test(attribute.value));
      if (style || !(MATHML_ATTRIBUTES.has(name) || name.startsWith('data-'))) node.removeAttribute(name);
    }
  }
  return true;
}

const score = (value) =>
  value === null || value === undefined ? '–' : value >= 0.0005 ? value.toFixed(3) : value.toExponential(1);
const gainText = (value) => (value === null ? '–' : (value >= 0 ? '+' : '−') + Math.abs(value).toFixed(Math.abs(value) < 10 ? 2 : 0));
const whole = (value) => (value === null || value === undefined ? '–' : value.toLocaleString('en'));
