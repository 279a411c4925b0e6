// Curves over time, by uPlot. Each has a name for screen readers; the numbers stand in tables beside it.

import { h } from './dom.js';

const COLOURS = ['--accent', '--bad', '--warn', '--good', '--soft', '--text'];
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `series` are `[label, values]`; `times` are seconds since 1970. `show` writes a value of the axis. */
export function chart(label, times, series, { show = value => value, log = false } = {}) {
  const place = h('div', { class: 'chart', role: 'img', 'aria-label': label });
  requestAnimationFrame(() => draw(place, times, series, show, log));
  return place;
}

function draw(place, times, series, show, log) {
  if (!place.isConnected || times.length < 2) {
    if (times.length < 2) {
      place.textContent = 'Nothing to draw yet: the first steps take a few seconds.';
      place.classList.add('empty');
    }
    return;
  }
  const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
  const options = {
    width: Math.max(260, place.clientWidth), height: 190,
    scales: { x: { time: true }, y: { distr: log ? 3 : 1, range: log ? undefined : (_, low, high) => [0, Math.max(high, 1e-9) * 1.1] } },
    axes: [{ ...axis, space: 80, values: (_, ticks) => ticks.map(at => new Date(at * 1000).toLocaleTimeString('en-GB')) }, { ...axis, size: 62, values: (_, ticks) => ticks.map(tick => (tick === null ? '' : show(tick))) }],
    series: [{ value: (_, at) => (at ? new Date(at * 1000).toLocaleTimeString('en-GB') : '–') },
      ...series.map(([name], index) => ({ label: name, stroke: colour(COLOURS[index % COLOURS.length]), width: 2,
        dash: index > 2 ? [6, 3] : undefined, points: { show: false }, spanGaps: true,
        value: (_, value) => (value === null || value === undefined ? '–' : show(value)) }))],
  };
  const data = [times, ...series.map(([, values]) => values.map(value => (log && !(value > 0) ? null : value ?? null)))];
  new uPlot(options, data, place);
}
