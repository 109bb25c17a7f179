// What is on view: the address decides, keys and buttons change the address.

const darkness = matchMedia('(prefers-color-scheme: dark)');
const chosen = () => document.documentElement.style.colorScheme;
const dark = () => (chosen() ? chosen() === 'dark' : darkness.matches);

function themed() {
  at('theme').textContent = dark() ? 'Light' : 'Dark';
  show();
}

function toggle() {
  document.documentElement.style.colorScheme = dark() ? 'light' : 'dark';
  themed();
}

function route() {
  const wanted = decoded(location.hash.slice(1)) || 'overview';
  const reading = wanted !== 'overview';
  at('figures').hidden = reading;
  at('reader').hidden = !reading;
  at('bar').hidden = !reading;
  for (const link of document.querySelectorAll('body > header nav a')) {
    if ((link.hash === '#solutions') === reading) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  browse(false);
  show();
  document.title = reading && wanted !== 'solutions' ? wanted : data.title;
  if (reading && wanted !== 'solutions') open(wanted);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function open(wanted) {
  const one = solutions.find((some) => some.id === wanted);
  if (!one) {
    at('solution').replaceChildren(make('p', { class: 'notice' }, `This page does not hold ${wanted}: make show ID='${wanted}' shows it.`));
    return;
  }
  if (!found.includes(one)) {
    at('filters').reset();
    current = one;
    filter();
  } else select(one);
  scrollTo(0, 0);
}

const KEYS = {
  j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1),
  o: () => { location.hash = '#overview'; }, s: () => { location.hash = '#solutions'; },
  t: toggle, '?': () => at('help').showModal(),
  '/': (event) => {
    event.preventDefault();
    if (at('reader').hidden) location.hash = '#solutions';
    route();
    browse(true);
    at('search').focus();
  },
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at('help').open) return;
  if (event.target.closest('input, select')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const reading = !at('reader').hidden;
  if (KEYS[event.key] && (reading || !/^(j|k|Arrow.*)$/.test(event.key))) KEYS[event.key](event);
});

at('theme').addEventListener('click', toggle);
darkness.addEventListener('change', themed);
at('ask').addEventListener('click', () => at('help').showModal());
window.addEventListener('hashchange', route);
overview();
reader();
themed();
route();
