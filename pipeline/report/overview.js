// The overview: tiles, charts (Vega-Lite, in the colours of the theme) and tables.

const numeric = (text) => /^[\d-]/.test(text);

function tile({ name, value, note }) {
  return make('div', { class: 'tile' }, make('h2', {}, name), make('strong', {}, value), make('p', {}, note));
}

function card(title, note, body) {
  return make('section', { class: 'card' }, make('h2', {}, title), body, make('p', { class: 'note' }, note));
}

function table({ title, note, head, rows }) {
  const heads = head.map((text, place) => make('th', { scope: 'col', class: place ? 'number' : null }, text));
  const body = rows.map(([name, ...cells]) =>
    make('tr', {}, make('th', { scope: 'row' }, name), cells.map((text) => make('td', { class: numeric(text) ? 'number' : null }, text))));
  const made = make('table', {}, make('thead', {}, make('tr', {}, heads)), make('tbody', {}, body));
  return card(title, note, make('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, made));
}

function matrix({ title, note, head, rows }) {
  const heads = [make('td', {}, make('span', { class: 'note' }, 'rollouts →'), make('span', { class: 'note' }, 'judge ↓')), ...head.map((text) => make('th', { scope: 'col' }, text))];
  const body = rows.map(({ name, cells }) => make('tr', {}, make('th', { scope: 'row' }, name), cells.map((cell) =>
    make('td', { class: `cell ${cell.tone}${cell.count ? '' : ' zero'}`, colspan: cell.span, style: `--share: ${cell.weight}` },
      make('strong', {}, cell.count.toLocaleString('en')), make('small', {}, cell.told)))));
  const made = make('table', { class: 'matrix' }, make('thead', {}, make('tr', {}, heads)), make('tbody', {}, body));
  return card(title, note, make('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': title }, made));
}

// What a variable of the style sheet comes to under the theme that is on.
function colour(name) {
  const probe = make('span', { style: `color: var(--${name})` });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function looks() {
  const [ink, quiet, line] = ['ink', 'quiet', 'line'].map(colour);
  const text = { labelColor: quiet, titleColor: quiet, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal' };
  return {
    background: 'transparent',
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: line, tickColor: line },
    axisX: { grid: false, labelAngle: 0 },
    axisQuantitative: { grid: true, tickCount: 5 },
    legend: { ...text, labelColor: ink, orient: 'top', symbolType: 'square' },
    text: { color: ink, fontSize: 12 },
  };
}

async function draw(chart, place) {
  const spec = JSON.stringify({ ...chart.spec, description: `${chart.title}. ${chart.note}`, config: looks() });
  const painted = JSON.parse(spec.replace(/"@([a-z]+)"/g, (_, name) => JSON.stringify(colour(name))));
  painted.autosize = { type: 'fit-x', contains: 'padding' };
  await vegaEmbed(place, painted, { actions: false, ast: true, renderer: 'svg', tooltip: { theme: dark() ? 'dark' : 'light' } });
}

const charts = data.charts.map((chart) => ({ chart, place: make('div', { class: 'chart', id: `chart-${chart.id}` }) }));
let drawn = '';

// Charts are drawn while they can be seen, since their width is that of their place.
function show() {
  const look = `${colour('ink')} ${document.documentElement.clientWidth}`;
  if (at('figures').hidden || look === drawn) return;
  drawn = look;
  charts.forEach(({ chart, place }) => draw(chart, place));
}

function overview() {
  at('facts').append(data.facts);
  at('tiles').append(...data.tiles.map(tile));
  const [first, ...others] = charts.map(({ chart, place }) => card(chart.title, chart.note, place));
  at('cards').append(first, ...(data.matrix ? [matrix(data.matrix)] : []), ...others, ...data.tables.map(table));
  window.addEventListener('resize', show);
}
