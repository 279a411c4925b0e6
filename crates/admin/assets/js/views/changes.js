// What changed and what would change: generations, the trial under way, the history, and the config with a diff before it is applied.

import { call, perhaps, Refused } from '../api.js';
import { chart } from '../chart.js';
import { card, diff, fill, h, moment, number, percent, renew, seconds, table, wide } from '../dom.js';

const editor = { text: null, etag: null, original: null };

export async function show(view, at, { status, first }) {
  if (first || !view.querySelector('#editor')) await frame(view);
  if (at.rest[0]) await entry(view.querySelector('#story'), at.rest[0]);
  await Promise.all([generations(view, status), trial(view), history(view, status)]);
}

async function frame(view) {
  fill(view, h('h1', {}, 'Changes'), h('div', { id: 'said' }), h('div', { id: 'story' }), h('div', { class: 'grid' },
    card('Generations', h('div', { id: 'generations' })), card('Trial', h('div', { id: 'trial' })),
    wide('History', h('div', { id: 'history' })),
    wide('The config', h('div', { id: 'editor' }))));
  await load(view.querySelector('#editor'));
}

function generations(view, status) {
  renew(view.querySelector('#generations'), [status.drift, status.last_good, status.generations], () => [
    status.drift ? h('p', { class: 'warn' }, status.drift.says ?? 'What serves is not what the file says.') : null,
    status.last_good ? h('p', { class: 'bad' }, status.last_good.says ?? 'Started on the last good generation.') : null,
    table([['Generation', one => number(one.id), true], ['Made', one => moment(one.created)], ['By', one => one.trigger],
      ['Requests on it', one => number(Object.values(one.requests).reduce((sum, count) => sum + count, 0)), true]], status.generations)]);
}

async function trial(view) {
  const place = view.querySelector('#trial');
  const now = await perhaps('/api/trial');
  renew(place, [now, document.documentElement.dataset.theme], () => underway(now));
}

function underway(now) {
  if (!now?.kind) return [ h('p', { class: 'soft' }, now?.last ? `None. The last: ${now.last.says}` : 'None is under way.')];
  const points = now.curve ?? [];
  const at = points.map(point => point.seconds);
  const share = side => points.map(point => (point[side].requests ? point[side].failed / point[side].requests : null));
  const p99 = side => points.map(point => point[side].p99_ms);
  const end = (how, title, kind) => h('button', { type: 'button', class: kind, onclick: event => act(event.target, `/api/trial/${how}`, {}) }, title);
  return [
    h('p', {}, h('b', {}, now.kind === 'canary' ? `A canary with ${percent(now.share)} of callers` : 'A probation'),
      `: ${now.phase === 'lead' ? 'the groups are compared before it begins' : `${seconds(now.seconds)} of ${seconds(now.lasts_seconds)}`}.`),
    h('ul', {}, now.standings.map(one => h('li', { class: one.evidence_of_harm > 20 ? 'bad' : null }, one.says))),
    points.length > 1 && [h('h3', {}, 'Share that failed'), chart('Share of failed requests on both sides', at, [['usual', share('usual')], ['on trial', share('on_trial')]], { show: value => percent(value, 2) }),
      h('h3', {}, 'p99, ms'), chart('p99 on both sides', at, [['usual', p99('usual')], ['on trial', p99('on_trial')]])],
    h('div', { class: 'row' }, now.kind === 'canary' && end('promote', 'Promote now', 'primary'), end('abort', 'Undo it now', 'danger'))];
}

async function history(view, status) {
  const list = await perhaps('/api/history');
  const place = view.querySelector('#history');
  if (!list) return fill(place, h('p', { class: 'soft' }, 'This gateway keeps no history.'));
  renew(place, [list.generations.slice(0, 50), status.generation], () => table([
    ['Number', one => h('a', { href: `#/changes/${one.generation}` }, one.generation), true], ['When', one => moment(one.at)], ['Who', one => one.who], ['Trigger', one => one.trigger],
    ['Outcome', one => h('span', { class: one.outcome === 'applied' ? 'good' : 'warn' }, one.outcome)], ['Verdict', one => one.verdict?.says ?? one.verdict ?? '–'],
    ['Note', one => one.note ?? ''], ['What', one => one.summary ?? ''],
    ['', one => (one.outcome === "applied" && one.generation !== status.generation ? h('button', { type: 'button', class: 'danger', onclick: event => back(event.target, one.generation) }, 'Roll back to it') : one.generation === status.generation ? "serves" : "")],
  ], list.generations.slice(0, 50), { empty: 'Nothing was changed yet.' }));
}

function back(button, to) {
  if (button.dataset.sure) return act(button, '/api/rollback', { to, note: 'by the dashboard' });
  button.dataset.sure = 'yes';
  button.textContent = `Really go back to ${to}?`;
}

const say = (kind, role, text) => fill(document.getElementById('said'), h('p', { class: kind, role }, text));

async function act(button, path, body) {
  button.disabled = true;
  try {
    const done = await call(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    say('good', 'status', done.says ?? (done.generation ? `Done: generation ${done.generation} serves.` : 'Done.'));
  } catch (error) {
    say('bad', 'alert', error.message);
  } finally {
    button.disabled = false;
  }
}

async function entry(place, id) {
  if (place.dataset.id === id) return;
  const one = await perhaps(`/api/history/${encodeURIComponent(id)}`);
  place.dataset.id = id;
  if (!one) return fill(place, h('p', { class: 'warn' }, `The history has no generation ${id}.`));
  fill(place, card(`Generation ${id}`, h('p', {}, `${moment(one.at)}, by ${one.who}: ${one.note ?? 'no note'}`), diff(one.diff),
    (one.sources ?? []).map(source => h('details', {}, h('summary', {}, source.name), h('pre', {}, source.text)))));
}

async function load(place) {
  const { text, etag } = await call('/api/config?text=1', { raw: true });
  Object.assign(editor, { text, etag, original: text });
  const area = h('textarea', { id: 'config', 'aria-label': 'The config', spellcheck: 'false', value: text, oninput: event => { editor.text = event.target.value; fill(out); } });
  const note = h('input', { id: 'note', size: 40, placeholder: 'Why', 'aria-label': 'Note' });
  const out = h('div', { id: 'effect', 'aria-live': 'polite' });
  const hidden = text.includes('***');
  fill(place, hidden ? h('p', { class: 'warn' }, 'Secrets that stand in this config are hidden, so this text cannot be applied as it is: edit the file, or put the secrets in.') : null,
    area, h('div', { class: 'row' }, note, h('button', { id: 'check', type: 'button', class: 'primary', onclick: () => check(out, note) }, 'What would change?'),
      h('button', { type: 'button', onclick: () => load(place) }, 'Begin anew')), out);
}

async function check(out, note) {
  if (editor.text.includes('***')) return fill(out, h('p', { class: 'bad', role: 'alert' }, 'The text still has hidden secrets (***).'));
  try {
    const would = await call('/api/config?dry_run=1', { method: 'POST', body: editor.text, headers: { 'content-type': 'application/yaml' } });
    const apply = h('button', { id: 'apply', type: 'button', class: 'primary', onclick: () => put(out, note.value) }, 'Apply it');
    fill(out, h('h3', {}, 'What would change'), diff(would.text), would.effect_text && [h('h3', {}, 'Whom it touches'), h('pre', {}, would.effect_text)], findings(would.diagnostics), apply);
  } catch (error) { refused(out, error); }
}

async function put(out, note) {
  const query = note ? `?note=${encodeURIComponent(note)}` : '';
  try {
    const done = await call(`/api/config${query}`, { method: 'POST', body: editor.text, headers: { 'content-type': 'application/yaml', 'if-match': editor.etag } });
    editor.etag = `"${done.hash}"`;
    editor.original = editor.text;
    fill(out, h('p', { id: 'applied', class: 'good', role: 'status' }, `Generation ${done.generation} serves.`), (done.notes ?? []).map(line => h('p', {}, line)));
  } catch (error) { refused(out, error); }
}

function refused(out, error) {
  if (!(error instanceof Refused)) return fill(out, h('p', { class: 'bad', role: 'alert' }, 'The gateway does not answer; nothing was changed by this page.'));
  fill(out, h('p', { class: 'bad', role: 'alert' }, error.problem.title ?? error.message, error.problem.detail ? `: ${error.problem.detail}` : ''), findings(error.problem.diagnostics));
}

function findings(list) {
  if (!Array.isArray(list) || !list.length) return null;
  return h('ul', { id: 'findings' }, list.map(one => h('li', { class: one.severity === 'error' ? 'bad' : 'warn' },
    h('button', { type: 'button', class: 'where', onclick: () => jump(one) }, place(one)), ' ', one.message, one.help ? h('span', { class: 'soft' }, ` ${one.help}`) : null)));
}

const at = one => one.line ?? one.place?.line ?? one.span?.line;
const place = one => [one.file ?? one.place?.file, at(one), one.column ?? one.place?.column].filter(Boolean).join(':') || one.severity;

/** Puts the cursor on the line of a finding. */
function jump(one) {
  const area = document.getElementById('config');
  const line = at(one);
  if (!area || !line) return;
  const start = area.value.split('\n').slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (area.value.slice(start).split('\n')[0]?.length ?? 0));
  area.scrollTop = Math.max(0, (line - 5) * 18);
}
