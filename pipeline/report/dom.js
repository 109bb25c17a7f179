// The ways in which anything enters the page: text as text, formulas element by element. Nothing is parsed as markup.

const data = JSON.parse(document.getElementById('data').textContent);
const at = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const MATHML = 'http://www.w3.org/1998/Math/MathML';
const TAGS = new Set(data.mathml.tags);
const ATTRIBUTES = new Set(data.mathml.attributes);

function grown(tree) {
  const [tag, ...parts] = tree;
  const element = document.createElementNS(MATHML, TAGS.has(tag) ? tag : 'mrow');
  for (const part of parts) {
    if (typeof part === 'string') element.append(part);
    else if (Array.isArray(part)) element.append(grown(part));
    else {
      for (const [name, value] of Object.entries(part)) {
        if (ATTRIBUTES.has(name)) element.setAttribute(name, value);
      }
    }
  }
  return element;
}

function formula({ source, tree, block }) {
  if (!tree) return make('code', { class: 'latex' }, source);
  const math = document.createElementNS(MATHML, 'math');
  if (block) math.setAttribute('display', 'block');
  math.append(grown(tree));
  return make('span', { class: block ? 'formula block' : 'formula', title: source }, math);
}

// A text is a list of pieces: strings, and numbers of formulas. A formula on its own line brings its own line breaks;
// another one is not parted from the punctuation behind it.
function read(pieces) {
  const nodes = [];
  pieces.forEach((piece, place) => {
    if (typeof piece === 'number') {
      nodes.push(formula(data.formulas[piece]));
      return;
    }
    const before = data.formulas[pieces[place - 1]];
    const after = data.formulas[pieces[place + 1]];
    let text = place === 0 ? piece.replace(/^\s+/, '') : piece;
    if (place === pieces.length - 1) text = text.trimEnd();
    if (before?.block) text = text.replace(/^[ \t]*\n+/, '');
    if (after?.block) text = text.replace(/\n+[ \t]*$/, '');
    const end = before && !before.block ? /^[.,;:!?)\]]{0,4}/.exec(text)[0] : '';
    if (end) nodes.push(make('span', { class: 'whole' }, nodes.pop(), end));
    nodes.push(text.slice(end.length));
  });
  return nodes;
}

const plain = (pieces) => pieces.map((piece) => (typeof piece === 'number' ? data.formulas[piece].source : piece)).join('');
