// The reader: one solution at a time, the list of those that the filters leave, keys, and addresses.

const FORMS = { equal: 'right answer', different: 'wrong answer', undecided: 'answer undecided' };
const SOURCES = { rolled: 'rolled out', inferred: 'inferred', graded: 'graded', skipped: 'not asked' };
const MEETINGS = { '': 'judge, rollouts', agree: 'agree', differ: 'differ', open: 'undecided' };
const MARKS = { right: '✓', wrong: '✗', none: '·' };

const solutions = data.solutions.map((one) => ({
  ...one, text: [one.id, plain(one.problem), ...one.steps.map(plain)].join('\n').toLowerCase(),
}));
const { compare } = new Intl.Collator('en', { numeric: true });
solutions.sort((one, other) => compare(one.id, other.id));
let found = solutions;
let current = null;

const said = (first) => (first === null ? 'not known' : first < 0 ? 'no error' : `step ${first}`);
const cause = ({ kept, reason }) => (kept ? 'kept' : (reason ?? 'unknown').split(':')[0]);
const address = (one) => `#${encodeURIComponent(one.id)}`;

function meeting({ judge, rollouts }) {
  if (judge === null || rollouts === null) return 'open';
  return judge === rollouts ? 'agree' : 'differ';
}

function mark(one, step) {
  if (step >= one.labels.length) return 'none';
  return one.labels[step] ? 'right' : 'wrong';
}

function meaning(one, step) {
  const kind = mark(one, step);
  if (kind !== 'none') return kind === 'right' ? 'right' : 'first error';
  return one.kept ? 'after the first error' : 'no label';
}

function evidence(one, step) {
  const [hits, tries, source] = [one.hits[step], one.tries[step], one.source[step]];
  const parts = [];
  const rolled = source === 'rolled' && tries;
  if (rolled) {
    const more = one.stopped_early[step] ? '+' : '';
    const told = `${hits} of ${tries} rollouts reached the answer${more ? '; stopped early' : ''}`;
    const fill = make('i', { style: `width: ${(100 * hits) / tries}%` });
    parts.push(make('span', { class: 'rate', title: told }, make('span', { class: 'rail', role: 'img', 'aria-label': told }, fill), `${hits}/${tries}${more}`));
  }
  if (one.source.some((other) => other !== 'skipped')) {
    parts.push(make('span', { class: 'source' }, `${SOURCES[source] ?? source}${tries && !rolled ? ` ${hits}/${tries}` : ''}`));
  }
  for (const [name, values] of [['reward', one.rewards], ['rating', one.ratings]]) {
    if (typeof values?.[step] === 'number') parts.push(make('span', { class: 'source' }, `${name} ${values[step].toFixed(2)}`));
  }
  return make('div', { class: 'evidence' }, parts);
}

function step(one, pieces, place) {
  const kind = mark(one, place);
  const flags = [['judge', 'judge'], ['rollouts', 'rollouts']]
    .filter(([name]) => one[name] === place)
    .map(([name, text]) => make('span', { class: `flag ${name}` }, `${text}: first error`));
  return make('li', { class: `step ${kind}` },
    make('div', { class: 'index' }, make('b', { class: `mark ${kind}`, 'aria-hidden': 'true' }, MARKS[kind]), make('span', {}, String(place)),
      make('span', { class: 'unseen' }, meaning(one, place))),
    make('div', { class: 'words' }, read(pieces), flags.length ? make('div', { class: 'flags' }, flags) : null),
    evidence(one, place));
}

function facts(one) {
  const votes = one.votes.map(said).join(', ') || 'none';
  const { solve, rollout, judge, prompt, rollouts } = one.tokens;
  const rows = [
    ['answer', read(one.answer), FORMS[one.outcome]],
    ['gold', read(one.gold), ''],
    ['first error', [`label ${said(one.label)}; rollouts ${said(one.rollouts)}; judge ${said(one.judge)}`], ''],
    ['judge’s votes', [votes], one.judge_reason ?? ''],
    ['rollouts', [`${rollouts}`], one.mc_reason ?? ''],
    ['tokens', [`${solve} solving, ${rollout} rollouts, ${judge} judge, ${prompt} read`], ''],
  ];
  if (one.posterior !== null) rows.push(['posterior', [`${(100 * one.posterior).toFixed(1)} %`], 'that the judge’s first error is the true one']);
  return make('dl', { class: 'facts' }, rows.map(([name, value, more]) => [
    make('dt', {}, name), make('dd', {}, value, more ? make('small', {}, ` ${more}`) : null)]));
}

function folds(one) {
  const several = one.replies.some((reply) => reply.judge > 0);
  const name = ({ judge, first_error: first, reason }) =>
    `${several ? `judge ${judge + 1}` : 'the judge'}’s words: ${first === null ? reason ?? 'not read' : said(first)}`;
  return one.replies.map((reply) =>
    make('details', { class: 'reply' }, make('summary', {}, name(reply)), make('div', { class: 'words' }, read(reply.text))));
}

function page(one) {
  const told = [one.level ? `level ${one.level}` : null, FORMS[one.outcome], one.cut ? 'cut off by the token limit' : null];
  const verdict = one.kept ? '✓ kept' : `✗ rejected: ${one.reason}`;
  return [
    make('header', {},
      make('h2', {}, one.id),
      make('p', {}, make('span', { class: one.kept ? 'verdict kept' : 'verdict rejected' }, verdict), ` ${told.filter(Boolean).join(' · ')}`)),
    make('div', { class: 'problem words' }, read(one.problem)),
    make('ol', { class: 'steps', start: 0 }, one.steps.map((pieces, place) => step(one, pieces, place))),
    one.omitted ? make('p', { class: 'note' }, one.omitted) : null,
    facts(one),
    ...folds(one),
  ].filter(Boolean);
}

function item(one) {
  const kind = one.kept ? 'right' : 'wrong';
  return make('li', {}, make('a', { href: address(one) },
    make('b', { class: `mark ${kind}`, 'aria-hidden': 'true' }, MARKS[kind]),
    make('span', {}, one.id), make('small', {}, one.kept ? `kept, ${one.label < 0 ? 'no error' : said(one.label)}` : cause(one))));
}

function select(one) {
  current = one;
  at('solution').replaceChildren(...(one ? page(one) : [make('p', { class: 'notice' }, 'No solution fits these filters.')]));
  for (const link of at('list').querySelectorAll('a')) {
    const here = one && link.getAttribute('href') === address(one);
    if (here) {
      link.setAttribute('aria-current', 'true');
      link.scrollIntoView({ block: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
}

function filter() {
  const words = at('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const [side, met, level] = ['side', 'meeting', 'level'].map((id) => at(id).value);
  found = solutions.filter((one) =>
    (!side || cause(one) === side || (side === 'rejected' && !one.kept))
    && (!met || meeting(one) === met) && (!level || one.level === level) && words.every((word) => one.text.includes(word)));
  at('list').replaceChildren(...found.map(item));
  at('found').textContent = `${found.length.toLocaleString('en')} of ${solutions.length.toLocaleString('en')} solutions; ${data.sampled}`;
  select(found.includes(current) ? current : found[0] ?? null);
}

function move(by) {
  if (!found.length) return;
  const place = (found.indexOf(current) + by + found.length) % found.length;
  location.hash = address(found[place]);
}

function options(id, entries) {
  at(id).append(...entries.map(([value, text]) => make('option', { value }, text)));
  at(id).hidden = entries.length < 3;
  at(id).addEventListener('change', filter);
}

function reader() {
  const causes = [...new Set(solutions.map(cause))];
  const rejected = causes.filter((one) => one !== 'kept').sort();
  const count = (test) => solutions.filter(test).length;
  const sides = [['', 'kept and rejected'], ['kept', `kept (${count((one) => one.kept)})`], ['rejected', `rejected (${count((one) => !one.kept)})`]];
  options('side', [...sides, ...rejected.map((name) => [name, `  ${name} (${count((one) => cause(one) === name)})`])]);
  const meetings = Object.entries(MEETINGS).map(([name, text]) => [name, name ? `${text} (${count((one) => meeting(one) === name)})` : text]);
  options('meeting', solutions.every((one) => meeting(one) === 'open') ? [] : meetings);
  const levels = [...new Set(solutions.map((one) => one.level).filter((one) => one !== null))].sort();
  options('level', [['', 'all levels'], ...levels.map((level) => [level, `level ${level} (${count((one) => one.level === level)})`])]);
  at('search').addEventListener('input', filter);
  at('filters').addEventListener('submit', (event) => event.preventDefault());
  at('previous').addEventListener('click', () => move(-1));
  at('next').addEventListener('click', () => move(1));
  at('browse').addEventListener('click', () => browse(!document.body.classList.contains('browsing')));
  filter();
}

function browse(open) {
  document.body.classList.toggle('browsing', open);
  at('browse').setAttribute('aria-expanded', String(open));
}
