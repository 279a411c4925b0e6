// Which view is shown, and the beat by which it is kept true.

import { call, onUnauthorized, Refused, setToken } from './api.js';
import { fill, h, seconds } from './dom.js';
import * as overview from './views/overview.js';
import * as map from './views/map.js';
import * as consumers from './views/consumers.js';
import * as changes from './views/changes.js';
import * as requests from './views/requests.js';
import * as explain from './views/explain.js';

const VIEWS = { overview, map, consumers, changes, requests, explain };
const TITLES = { overview: 'Overview', map: 'Map', consumers: 'Consumers', changes: 'Changes', requests: 'Requests', explain: 'Explain' };
const BEAT = 2000;
const find = id => document.getElementById(id);
let answered = null;
let shown = null;
let busy = false;

/** `#/requests/ID?reason=x` as view, rest and query. */
function where() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...rest] = path.split('/');
  return { name: VIEWS[name] ? name : 'overview', rest: rest.map(decodeURIComponent), query: new URLSearchParams(query) };
}

function navigate() {
  const at = where();
  document.title = `${TITLES[at.name]} · Portcullis`;
  fill(find('nav'), Object.entries(TITLES).map(([name, title]) =>
    h('a', { href: `#/${name}`, 'aria-current': name === at.name ? 'page' : null }, title)));
  shown = VIEWS[at.name];
  fill(find('view'), h('p', { class: 'soft' }, 'Loading …'));
  beat(true);
}

async function beat(first = false) {
  if (busy && !first) return;
  busy = true;
  const view = shown;
  try {
    const status = await call('/api/status');
    verdict(status);
    if (first || view.live !== false) await view.show(find('view'), where(), { status, first });
    alive();
  } catch (error) {
    if (error instanceof Refused) {
      alive();
      if (error.status !== 401) fill(find('view'), h('p', { class: 'bad', role: 'alert' }, error.message));
    } else dead(error);
  } finally { busy = false; }
}

function verdict(status) {
  const word = status.verdict?.state ?? status.state;
  const kind = { healthy: 'good', ready: 'good', degraded: 'warn', starting: 'warn', overloaded: 'warn' }[word] ?? 'bad';
  const place = find('verdict');
  if (place.textContent !== word) place.textContent = word;
  place.className = `verdict ${kind}`;
  find('foot').textContent = `${status.version} · generation ${status.generation} · up ${seconds(status.uptime_seconds)} ·`;
}

function alive() {
  answered = new Date();
  find('dead').hidden = true;
  document.body.classList.remove('stale');
}

function dead() {
  const since = answered ? `since ${answered.toLocaleTimeString('en-GB')}` : 'yet';
  find('dead').textContent = `The gateway has not answered ${since}. What is below is old; asking again.`;
  find('dead').hidden = false;
  find('verdict').textContent = 'no answer';
  find('verdict').className = 'verdict bad';
  document.body.classList.add('stale');
}

function signIn() {
  onUnauthorized(why => {
    find('login-why').textContent = why;
    if (!find('login').open) find('login').showModal();
  });
  find('login').querySelector('form').addEventListener('submit', () => {
    setToken(find('token').value.trim());
    find('token').value = '';
    navigate();
  });
}

function theme() {
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const set = value => { root.dataset.theme = value; };
  set(localStorage.getItem('portcullis-theme') ?? (dark.matches ? 'dark' : 'light'));
  find('theme').addEventListener('click', () => {
    set(root.dataset.theme === 'dark' ? 'light' : 'dark');
    localStorage.setItem('portcullis-theme', root.dataset.theme);
    beat(true);
  });
}

function keys() {
  const names = Object.keys(VIEWS);
  const list = [...names.map((name, index) => [String(index + 1), TITLES[name]]), ['/', 'To the first field'], ['t', 'Light or dark'], ['?', 'This list']];
  fill(find('keys'), list.map(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]).flat());
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const view = names[Number(event.key) - 1];
    if (view) location.hash = `#/${view}`;
    else if (event.key === '?') find('help').showModal();
    else if (event.key === 't') find('theme').click();
    else if (event.key === '/') {
      event.preventDefault();
      find('view').querySelector('input, textarea')?.focus();
    }
  });
}

theme();
keys();
signIn();
addEventListener('hashchange', navigate);
navigate();
setInterval(() => { if (!document.hidden && !document.querySelector('dialog[open]')) beat(); }, BEAT);
