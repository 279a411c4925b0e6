// Who calls, who spends most, and how the caps of one stand.

import { call, perhaps } from '../api.js';
import { bytes, card, fill, h, number, seconds, table, wide } from '../dom.js';

let consumer = null;

export async function show(view, at, { first }) {
  if (at.rest[0]) [consumer] = at.rest;
  if (first || !view.querySelector('#spenders')) frame(view);
  await Promise.all([spenders(view), one(view)]);
}

function frame(view) {
  const field = h('input', { type: 'search', 'aria-label': 'Consumer', placeholder: 'Consumer', value: consumer ?? '' });
  const form = h('form', { class: 'row', onsubmit: event => {
    event.preventDefault();
    consumer = field.value.trim() || null;
    one(view).catch(error => fill(view.querySelector('#caps'), h('p', { class: 'bad' }, error.message)));
  } }, field, h('button', { class: 'primary' }, 'Show caps'));
  fill(view, h('h1', {}, 'Consumers'), h('div', { class: 'grid' },
    wide('Top spenders', h('div', { id: 'spenders' })),
    wide('Caps of a consumer', form, h('div', { id: 'caps' })),
    card('Overrides', h('div', { id: 'overrides' })), card('Bans', h('div', { id: 'bans' }))));
}

async function spenders(view) {
  const [usage, overrides, bans] = await Promise.all([perhaps('/api/usage').catch(() => null), perhaps('/api/caps/overrides'), perhaps('/api/bans')]);
  const rows = Object.entries(usage?.consumers ?? {}).map(([name, methods]) => {
    const sum = Object.values(methods).reduce((total, used) => ({ requests: total.requests + used.requests,
      credits: total.credits + used.credits, bytes: total.bytes + used.bytes }), { requests: 0, credits: 0, bytes: 0 });
    const [method] = Object.entries(methods).sort((a, b) => b[1].credits - a[1].credits || b[1].requests - a[1].requests)[0] ?? ['–'];
    return { name, method, ...sum };
  }).sort((a, b) => b.credits - a.credits || b.requests - a.requests);
  const most = Math.max(1, ...rows.map(row => row.credits || row.requests));
  fill(view.querySelector('#spenders'), table([
    ['Consumer', row => h('a', { href: `#/consumers/${encodeURIComponent(row.name)}` }, row.name)],
    ['', row => { const bar = h('i'); bar.style.width = `${((row.credits || row.requests) / most) * 100}%`; return h('div', { class: 'bar' }, bar); }],
    ['Requests', row => number(row.requests), true], ['Credits', row => number(row.credits), true], ['Bytes', row => bytes(row.bytes), true],
    ['Mostly', row => row.method],
  ], rows.slice(0, 50), { empty: 'Nobody has spent anything that is counted.' }));
  fill(view.querySelector('#overrides'), table([
    ['Whose', row => row.target ?? row.plan ?? row.consumer ?? row.route ?? '–'], ['Cap', row => row.cap ?? 'all'],
    ['Reason', row => row.reason ?? '–'], ['Ends in', row => seconds(row.ends_in_seconds), true],
  ], overrides?.overrides ?? [], { empty: 'None.' }));
  fill(view.querySelector('#bans'), table([
    ['Network', row => row.network], ['Why', row => row.reason ?? row.why ?? row.says ?? '–'], ['Ends in', row => seconds(row.ends_in_seconds), true],
  ], (bans?.bans ?? []).slice(0, 100), { empty: 'None.' }));
}

async function one(view) {
  if (!consumer) return;
  const caps = await perhaps(`/api/caps/${encodeURIComponent(consumer)}`);
  fill(view.querySelector('#caps'), caps ? table([
    ['Cap', cap => cap.cap], ['Of', cap => [cap.scope, cap.of].filter(Boolean).join(' ')], ['State', cap => cap.says ?? JSON.stringify(cap)],
  ], caps.caps ?? [], { empty: 'No cap holds this consumer.' }) : h('p', { class: 'warn' }, `Nothing is known of ${consumer}.`));
}
