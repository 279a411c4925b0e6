// The last requests, and the story of one.

import { call } from '../api.js';
import { card, fill, h, millis, moment, number, renew, table, time, wide } from '../dom.js';

const FIELDS = ['reason', 'host', 'route', 'consumer', 'cluster', 'class', 'min_ms'];
const state = { failed: false, fields: {} };

export async function show(view, at, { first }) {
  if (at.rest[0]) return story(view, at.rest[0]);
  if (first) {
    for (const name of FIELDS) if (at.query.has(name)) state.fields[name] = at.query.get(name);
    frame(view);
  } else if (!view.querySelector('#list')) frame(view);
  await list(view);
}

function frame(view) {
  const field = name => h('label', {}, name.replace('_', ' '), ' ', h('input', { size: 12, value: state.fields[name] ?? '',
    oninput: event => { state.fields[name] = event.target.value.trim(); }, onchange: () => list(view) }));
  const failed = h('input', { type: 'checkbox', onchange: event => { state.failed = event.target.checked; list(view); } });
  failed.checked = state.failed;
  fill(view, h('h1', {}, 'Requests'),
    h('form', { class: 'row', onsubmit: event => { event.preventDefault(); list(view); } }, FIELDS.map(field), h('label', {}, failed, ' failed only'),
      h('button', { class: 'primary' }, 'Show')),
    h('div', { id: 'list', class: 'card' }),
    h('p', { class: 'soft' }, 'Failures, refusals and slow requests are kept longer than the rest.'));
}

async function list(view) {
  const query = new URLSearchParams({ limit: '100' });
  for (const [name, value] of Object.entries(state.fields)) if (value) query.set(name, value);
  if (state.failed) query.set('failed', 'true');
  const place = view.querySelector('#list');
  let rows;
  try { rows = await call(`/api/requests?${query}`); } catch (error) {
    if (error.status !== 400) throw error;
    return fill(place, h('p', { class: 'bad', role: 'alert' }, error.message));
  }
  renew(place, rows, () => table([
    ['At', row => time(row.time ?? row.at)], ['Status', row => h('span', { class: row.status >= 500 ? 'bad' : row.status >= 400 ? 'warn' : 'good' }, row.status || '–'), true],
    ['Request', row => `${row.method ?? row.kind} ${row.host ?? ''}${row.path ?? ''}`], ['Route', row => row.route ?? '–'],
    ['Consumer', row => row.consumer ?? '–'], ['Reason', row => row.reason ?? '–'], ['Total', row => millis(row.total_ms), true],
    ['Generation', row => row.generation, true],
  ], rows, { pick: row => { location.hash = `#/requests/${encodeURIComponent(row.id)}`; }, empty: 'No request matches.' }));
}

async function story(view, id) {
  const [row] = await call(`/api/requests?limit=1&id=${encodeURIComponent(id)}`);
  if (view.querySelector('#story')?.dataset.id === id) return;
  if (!row) return fill(view, h('h1', {}, 'Request'), h('p', {}, `The request ${id} is not kept any more.`));
  const line = (name, value) => (value === undefined || value === null || value === '' ? null : h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, String(value))));
  fill(view, h('h1', {}, `${row.method ?? row.kind} ${row.host ?? ''}${row.path ?? ''}`), h('div', { id: 'story', 'data-id': id, class: 'grid' },
    card('What became of it', h('table', {}, line('Status', row.status || 'none could be sent'), line('Reason', row.reason), line('Whose fault', row.fault), line('Detail', row.detail),
      line('Answered by', row.answered_by), line('At', moment(row.time ?? row.at)), line('Id', row.id), line('Generation', row.generation), line('Flags', row.flags?.join(', ')))),
    card('Who and where to', h('table', {}, line('Client', row.client), line('Consumer', row.consumer), line('Listener', row.listener), line('Protocol', row.protocol),
      line('Virtual host', row.virtual_host), line('Route', row.route), line('Stood in for by', row.fallback_route), line('Action', row.action), line('Cluster', row.cluster),
      line('Not retried', row.not_retried), line('Failover', row.failover), line('Hedged', row.hedged))),
    wide('Time', bars(row)),
    wide('Endpoints considered', table([['Endpoint', one => one.endpoint ?? one.name], ['Verdict', one => one.verdict]], row.endpoints ?? [], { empty: 'None.' })),
    wide('Attempts', table([['Endpoint', one => one.endpoint], ['Began', one => millis(one.started_ms), true], ['Connect', one => (one.reused ? 'reused' : millis(one.connect_ms)), true],
      ['First byte', one => millis(one.first_byte_ms), true], ['Outcome', one => one.status ?? one.reason ?? 'outrun']], row.attempts ?? [], { empty: 'None was made.' })),
    wide('The record', h('pre', {}, JSON.stringify(row, null, 2)))));
}

function bars(row) {
  const parts = [['Queue', row.queue_ms], ['Connect', row.connect_ms], ['First byte', row.first_byte_ms], ['Total', row.total_ms]].filter(([, value]) => typeof value === 'number');
  const most = Math.max(0.001, ...parts.map(([, value]) => value));
  return [table([['Part', ([name]) => name], ['', ([, value]) => { const bar = h('i'); bar.style.width = `${(value / most) * 100}%`; return h('div', { class: 'bar' }, bar); }],
    ['Took', ([, value]) => millis(value), true]], parts), h('p', { class: 'soft' }, `${number(row.bytes_in)} bytes in, ${number(row.bytes_out)} out`)];
}
