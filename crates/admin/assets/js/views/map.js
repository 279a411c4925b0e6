// From listener to host, route, cluster and endpoint. Large configs come in pieces; a search narrows them.

import { call } from '../api.js';
import { fill, h, millis, number, seconds, table } from '../dom.js';

const state = { search: '', route: '', endpoint: '', host: null, cluster: null };
let last = new Map();

export async function show(view, at, { first }) {
  if (first && at.query.get('cluster')) state.cluster = at.query.get('cluster');
  if (first && at.query.get('host')) state.host = at.query.get('host');
  if (first || !view.querySelector('.map')) frame(view);
  // One after the other: what is chosen first decides what is asked for next.
  await hosts(view);
  await routes(view);
  await endpoints(view);
}

function frame(view) {
  const search = (label, name) => h('input', { type: 'search', 'aria-label': label, placeholder: label, value: state[name],
    oninput: event => { state[name] = event.target.value; refresh(view); } });
  fill(view, h('h1', {}, 'Map'), h('div', { class: 'map' },
    h('section', { class: 'card' }, h('h2', {}, 'Listeners'), h('div', { id: 'listeners', class: 'list' })),
    h('section', { class: 'card' }, h('h2', {}, 'Hosts'), search('Search hosts', 'search'), h('div', { id: 'hosts', class: 'list' })),
    h('section', { class: 'card' }, h('h2', {}, 'Routes'), search('Search routes', 'route'), h('div', { id: 'routes', class: 'list' })),
    h('section', { class: 'card' }, h('h2', {}, 'Clusters'), h('div', { id: 'clusters', class: 'list' }))),
  h('section', { class: 'card' }, h('h2', { id: 'endpoints-title' }, 'Endpoints'), search('Search endpoints', 'endpoint'), h('div', { id: 'endpoints' })));
}

let waiting = null;
function refresh(view) {
  clearTimeout(waiting);
  waiting = setTimeout(() => hosts(view).then(() => routes(view)).then(() => endpoints(view)).catch(() => {}), 200);
}

/** Requests a second since the last look at the same thing. */
function rate(key, count) {
  const now = performance.now();
  const before = last.get(key);
  if (!before || now - before.at > 900) last.set(key, { at: now, count, rate: before ? ((count - before.count) * 1000) / (now - before.at) : null });
  if (last.size > 5000) last = new Map();
  const known = last.get(key)?.rate;
  return known === null || known === undefined ? '' : `${known.toFixed(known < 10 ? 1 : 0)}/s`;
}

const item = (title, soft, pressed, onclick, kind) => h('button', { class: 'item', type: 'button', 'aria-pressed': pressed ? 'true' : 'false', onclick },
  h('span', { class: kind }, title), h('br'), h('span', { class: 'soft' }, soft));

async function hosts(view) {
  const map = await call(`/api/map?limit=100&q=${encodeURIComponent(state.search)}`);
  fill(view.querySelector('#listeners'), map.listeners.map(one => h('p', {}, h('b', {}, one.name), h('br'),
    h('span', { class: 'soft' }, `${one.addresses.join(', ')} · ${one.speaks.join(', ')} · ${number(one.connections)} of ${number(one.connections_limit)} connections`))));
  if (!state.host && map.hosts.length) state.host = map.hosts[0].name;
  fill(view.querySelector('#hosts'), map.hosts.map(one => item(one.name,
    `${number(one.routes)} routes · ${number(one.requests)} requests ${rate(`h ${one.name}`, one.requests)} · ${number(one.failed)} failed`,
    one.name === state.host, () => { state.host = one.name; state.route = ''; show(view, { query: new URLSearchParams() }, {}); })),
  more(map.hosts.length, map.hosts_found));
  view.overview = map.clusters;
  if (!state.host) clusters(view, map.clusters);
}

const more = (shown, all) => (all > shown ? h('p', { class: 'soft' }, `${number(all - shown)} more: search to narrow`) : null);

async function routes(view) {
  if (!state.host) return;
  const map = await call(`/api/map?limit=200&host=${encodeURIComponent(state.host)}&route=${encodeURIComponent(state.route)}`);
  fill(view.querySelector('#routes'), map.routes.map(one => item(one.name,
    `${one.path} → ${one.clusters.join(', ') || one.action} · ${number(one.requests)} ${rate(`r ${one.label}`, one.requests)} · ${number(one.failed)} failed · ${one.place}`,
    false, () => { if (one.clusters.length) { state.cluster = one.clusters[0]; show(view, { query: new URLSearchParams() }, {}); } },
    one.failed && 'warn')), more(map.routes.length, map.routes_found));
  clusters(view, map.clusters);
}

function clusters(view, list) {
  if (!state.cluster && list.length) state.cluster = list[0].name;
  fill(view.querySelector('#clusters'), list.map(one => item(one.name,
    `${one.available} of ${one.endpoints} available · ${number(one.in_flight)} in flight${one.panicking ? ' · panicking' : ''}`,
    one.name === state.cluster, () => { state.cluster = one.name; show(view, { query: new URLSearchParams() }, {}); },
    one.available === 0 ? 'bad' : one.available < one.endpoints ? 'warn' : 'good')));
}

async function endpoints(view) {
  if (!state.cluster) return;
  const all = await call(`/api/clusters?limit=200&name=${encodeURIComponent(state.cluster)}&endpoint=${encodeURIComponent(state.endpoint)}`);
  const cluster = all.clusters[0];
  if (!cluster) return;
  view.querySelector('#endpoints-title').textContent = `Endpoints of ${cluster.name}`;
  fill(view.querySelector('#endpoints'),
    cluster.trouble ? h('p', { class: 'bad' }, String(cluster.trouble)) : null,
    table([
      ['Endpoint', one => one.name],
      ['Standing', one => h('span', { class: one.takes_requests ? 'good' : 'bad' }, one.standing)],
      ['Health', one => one.health],
      ['For', one => seconds(one.lasted_seconds)],
      ['In flight', one => number(one.in_flight), true],
      ['Requests', one => `${number(one.requests)} ${rate(`e ${cluster.name} ${one.name}`, one.requests)}`, true],
      ['Failures', one => number(one.failures), true],
      ['Latency', one => millis(one.latency_ms), true],
      ['Why', one => one.says],
    ], cluster.endpoints), more(cluster.endpoints.length, cluster.endpoints_found));
}
