// The verdict, traffic, errors by reason, latency, and what is at work.

import { call, perhaps } from '../api.js';
import { chart } from '../chart.js';
import { bytes, card, fill, h, millis, moment, number, percent, renew, seconds, standing, table, wide } from '../dom.js';

const REASONS = 5;

export async function show(view, _at, { status }) {
  const [timeline, slos] = await Promise.all([call('/api/timeline'), status.verdict ? perhaps('/api/slos') : null]);
  const { uptime_seconds: _, ...rest } = status;
  if (!view.querySelector('#overview')) fill(view, h('h1', {}, 'Overview'), h('div', { id: 'overview' }));
  renew(view.querySelector('#overview'), [timeline.steps.at(-1)?.until, slos, rest, document.documentElement.dataset.theme], () => [

    h('div', { class: 'grid' },
      verdict(status),
      numbers(timeline.steps, status),
      traffic(timeline),
      errors(timeline),
      latency(timeline),
      clusters(status),
      slos && objectives(slos),
      change(status),
      bounds(status))]);
}

function verdict(status) {
  const { verdict } = status;
  if (!verdict) {
    return wide('State', h('p', {}, standing(status.state), ` since ${seconds(status.uptime_seconds)}.`));
  }
  const rows = verdict.reasons.map(reason => h('li', {},
    h('b', {}, reason.says), ' ',
    h('span', { class: 'soft' }, [[reason.evidence].flat().join('; '), reason.since && `since ${moment(reason.since)}`, affected(reason.affected)]
      .filter(Boolean).map(String).join(' · ')),
    reason.runbook && h('span', { class: 'soft' }, ` · runbook ${reason.runbook}`)));
  return wide('Verdict', h('p', {}, standing(verdict.state)), rows.length ? h('ol', {}, rows) : h('p', { class: 'soft' }, 'Nothing is wrong.'));
}

function affected(of) {
  if (!of) return null;
  const share = typeof of.share === 'number' ? `${percent(of.share)} of the traffic` : null;
  const hosts = of.hosts?.length ? `hosts ${of.hosts.slice(0, 3).join(', ')}${of.hosts.length > 3 ? ' …' : ''}` : null;
  return [hosts, share].filter(Boolean).join(', ') || null;
}

function numbers(steps, status) {
  const last = steps.slice(-12);
  const sum = name => last.reduce((total, step) => total + step[name], 0);
  const requests = sum('requests');
  const share = count => (requests ? percent(count / requests, 2) : '–');
  const one = (title, value, kind) => h('div', {}, h('span', { class: 'soft' }, title), h('b', { class: kind }, value));
  return wide('The last minute', h('div', { class: 'numbers' },
    one('Requests/s', number(Math.round(requests / Math.max(1, last.length * 5)))),
    one('Failed', share(sum('failed')), sum('failed') ? 'bad' : 'good'),
    one('Refused', share(sum('refused'))),
    one('p99', millis(Math.max(0, ...last.map(step => step.p99_ms ?? 0)) || null)),
    one('Streams open', number(status.overload?.streams)),
    one('Connections', number(status.listeners.reduce((total, one) => total + one.connections, 0)))));
}

const times = steps => steps.map(step => Date.parse(step.until) / 1000);

function traffic({ steps, step_seconds: each }) {
  return card('Traffic, requests/s', chart('Requests per second over fifteen minutes', times(steps), [
    ['all', steps.map(step => step.requests / each)],
    ['failed', steps.map(step => step.failed / each)],
    ['refused', steps.map(step => step.refused / each)],
  ]));
}

function errors({ steps, step_seconds: each }) {
  const totals = new Map();
  for (const step of steps) {
    for (const [reason, count] of Object.entries(step.reasons)) totals.set(reason, (totals.get(reason) ?? 0) + count);
  }
  const most = [...totals].sort((a, b) => b[1] - a[1]);
  const drawn = most.slice(0, REASONS).map(([reason]) => [reason, steps.map(step => (step.reasons[reason] ?? 0) / each)]);
  return card('Errors by reason, per second',
    drawn.length ? chart('Errors by reason over fifteen minutes', times(steps), drawn) : h('p', { class: 'soft' }, 'None in fifteen minutes.'),
    table([['Reason', ([reason]) => h('a', { href: `#/requests?reason=${reason}` }, reason)], ['In 15 min', ([, count]) => number(count), true]],
      most, { empty: '' }));
}

function latency({ steps }) {
  return card('Latency', chart('Latency quantiles over fifteen minutes', times(steps), [
    ['p50', steps.map(step => step.p50_ms)], ['p99', steps.map(step => step.p99_ms)], ['p90', steps.map(step => step.p90_ms)],
  ], { show: value => millis(value), log: true }));
}

function clusters(status) {
  const worst = [...status.clusters].sort((a, b) => a.available / (a.endpoints || 1) - b.available / (b.endpoints || 1)).slice(0, 12);
  return card('Clusters, worst first', table([
    ['Cluster', one => h('a', { href: `#/map?cluster=${encodeURIComponent(one.name)}` }, one.name)],
    ['Available', one => h('span', { class: one.available < one.endpoints ? (one.available ? 'warn' : 'bad') : 'good' }, `${one.available} of ${one.endpoints}`), true],
    ['In flight', one => number(one.in_flight), true],
  ], worst, { empty: 'No cluster.' }));
}

function objectives(slos) {
  return card('Objectives', table([
    ['Name', one => one.name],
    ['Budget left', one => h('span', { class: one.budget_left < 0 ? 'bad' : one.budget_left < 0.25 ? 'warn' : 'good' }, percent(one.budget_left)), true],
    ['Firing', one => one.firing?.map(firing => firing.severity).join(', ') || '–'],
  ], slos.slos ?? [], { empty: 'The config has no slos.' }));
}

function change(status) {
  const last = status.last_reload;
  return card('Last change', last
    ? h('p', {}, h('a', { href: '#/changes' }, `${last.outcome} (${last.trigger})`), ` at ${moment(last.at)}: ${last.summary}`)
    : h('p', { class: 'soft' }, 'None.'));
}

function bounds(status) {
  const of = status.overload ?? {};
  const rows = [['Memory', of.memory_bytes, bytes], ['Event loop delay, µs', of.event_loop_delay_microseconds], ['Connections', of.connections]]
    .filter(([, one]) => one);
  return card('How near to refusing', table([
    ['Guard', ([name]) => name],
    ['Now', ([, one, show = number]) => show(one.used), true],
    ['Limit', ([, one, show = number]) => (one.limit ? show(one.limit) : 'none'), true],
    ['Refused', ([, one]) => number(one.refused), true],
  ], rows));
}
