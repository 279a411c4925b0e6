// Why a request would go where it would go.

import { call, Refused } from '../api.js';
import { card, fill, h } from '../dom.js';

export const live = false;
const asked = { method: 'GET', url: 'http://', headers: '', client: '', body: '' };

export function show(view) {
  const field = (label, name, element = 'input', more = {}) => h('label', {}, label, h('br'),
    h(element, { value: asked[name], oninput: event => { asked[name] = event.target.value; }, ...more }));
  const out = h('div', { 'aria-live': 'polite' });
  fill(view, h('h1', {}, 'Explain'), card(null, h('form', { onsubmit: event => { event.preventDefault(); ask(out); } },
    h('div', { class: 'row' }, field('Method', 'method', 'input', { size: 8 }), field('URL', 'url', 'input', { size: 60, required: true, placeholder: 'https://app.example.com/path' }),
      field('Client address', 'client', 'input', { size: 18 })),
    field('Header fields, one a line, name: value', 'headers', 'textarea', { style: null, rows: 3 }),
    h('p', {}, h('button', { class: 'primary' }, 'Explain')))), out);
}

async function ask(out) {
  const query = new URLSearchParams({ format: 'text', method: asked.method, url: asked.url });
  if (asked.client) query.set('client', asked.client);
  for (const line of asked.headers.split('\n').filter(line => line.trim())) query.append('header', line.trim());
  try {
    const { text } = await call(`/api/explain?${query}`, { raw: true });
    fill(out, card('What would become of it', h('pre', {}, text)));
  } catch (error) {
    const why = error instanceof Refused ? error.message : 'The gateway does not answer.';
    fill(out, h('p', { class: 'bad', role: 'alert' }, why));
  }
}
