// Building pages. Text is only ever set as text: nothing that comes from a request or a config is read as markup.

/** An element: `h('td', { class: 'num' }, 'text', child)`. A function as `onclick` and the like is a listener. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false)
    .map(child => (child instanceof Node ? child : String(child))));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

/** Draws a place anew when what it shows has changed, and leaves it alone otherwise: a pointer, a focus, a choice stays. */
export function renew(place, data, draw) {
  const now = JSON.stringify(data);
  if (place.shown === now) return;
  place.shown = now;
  fill(place, draw());
}

export const card = (title, ...children) => h('section', { class: 'card' }, title && h('h2', {}, title), ...children);
export const wide = (title, ...children) => h('section', { class: 'card wide' }, title && h('h2', {}, title), ...children);

/** A table. A column is `[title, row => cell, numeric?]`. */
export function table(columns, rows, { pick, empty = 'Nothing.' } = {}) {
  if (!rows.length) return h('p', { class: 'soft' }, empty);
  const head = columns.map(([title, , num]) => h('th', { scope: 'col', class: num && 'num' }, title));
  const body = rows.map(row => {
    const cells = columns.map(([, cell, num]) => h('td', { class: num && 'num' }, cell(row)));
    const act = pick && (() => pick(row));
    const key = event => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); act(); } };
    return h('tr', pick ? { class: 'pick', tabindex: 0, role: 'button', onclick: act, onkeydown: key } : {}, cells);
  });
  // Whoever has no pointer scrolls by keys.
  return h('div', { class: 'scroll', role: 'group', tabindex: 0, 'aria-label': 'Table' }, h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, body)));
}

export const number = value => (value ?? 0).toLocaleString('en');
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let left = value ?? 0;
  while (left >= 1024 && unit < units.length - 1) { left /= 1024; unit += 1; }
  return `${left.toFixed(unit && left < 100 ? 1 : 0)} ${units[unit]}`;
}
export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;

export function millis(value) {
  if (value === null || value === undefined) return '–';
  return value < 10 ? `${value.toFixed(2)} ms` : value < 10000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function seconds(value) {
  if (value === null || value === undefined) return '–';
  const whole = Math.round(value);
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  return whole < 172800 ? `${Math.round(whole / 3600)} h` : `${Math.round(whole / 86400)} d`;
}

export const time = text => (text ? new Date(text).toLocaleTimeString('en-GB') : '–');
export const moment = text => (text ? new Date(text).toISOString().replace('T', ' ').slice(0, 19) : '–');

/** A text of lines that begin with `+` or `-`, in colour. */
export function diff(text) {
  const lines = (text || 'No difference.').split('\n').map(line => {
    const kind = /^\s*\+/.test(line) ? 'plus' : /^\s*-/.test(line) ? 'minus' : null;
    return h('span', { class: kind }, `${line}\n`);
  });
  return h('pre', { class: 'diff' }, lines);
}

export const standing = word =>
  h('span', { class: { healthy: 'good', degraded: 'warn', failing: 'bad' }[word] ?? 'soft' }, word);
