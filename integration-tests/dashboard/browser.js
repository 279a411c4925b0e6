// Opens the dashboard in Chromium and does what an operator does. Usage: browser.js CHECK ADMIN EDGE [FOLDER]
// Prints one JSON object; fails with a stack.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [check, admin, edge, folder] = process.argv.slice(2);
const VIEWS = ['overview', 'map', 'consumers', 'changes', 'requests', 'explain'];
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const complaints = [];

/** A page that notes whatever goes wrong in it, and every request that leaves the gateway. */
async function open(view, options = {}) {
  // axe is brought in by the test, past the page's own policy.
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, bypassCSP: options.bypassCSP ?? false, colorScheme: options.colorScheme ?? 'light' });
  const page = await context.newPage();
  if (options.size) await page.setViewportSize(options.size);
  page.on('pageerror', error => complaints.push(`${view}: ${error}`));
  page.on('console', message => message.type() === 'error' && !options.quiet && complaints.push(`${view}: ${message.text()}`));
  page.on('request', request => {
    if (!request.url().startsWith(admin) && !request.url().startsWith('data:')) complaints.push(`${view}: asked ${request.url()}`);
  });
  await page.goto(`${admin}/#/${view}`);
  await page.locator('main h1').first().waitFor();
  return page;
}

const checks = {
  /** Each view at desktop and phone width, in both themes: no error, no sideways scroll, no violation of WCAG AA that axe finds. */
  async views() {
    const seen = {};
    for (const view of VIEWS) {
      for (const [name, size, colorScheme] of [['desktop', { width: 1440, height: 900 }, 'light'], ['dark', { width: 1440, height: 900 }, 'dark'], ['phone', { width: 390, height: 844 }, 'light']]) {
        const page = await open(view, { size, colorScheme, bypassCSP: true });
        await page.waitForTimeout(400);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        await page.evaluate(axe);
        const found = await page.evaluate(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa'] }));
        const violations = found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).slice(0, 3).join('; ')}`);
        seen[`${view} ${name}`] = { title: await page.title(), wide, violations };
        if (folder && name !== 'dark') await page.screenshot({ path: `${folder}/${view}-${size.width}.png`, fullPage: true });
        await page.context().close();
      }
    }
    return seen;
  },

  /** A request that is sent while the page is open shows up by itself. */
  async live() {
    const page = await open('requests');
    await fetch(`${edge}/fresh-${Date.now()}`);
    await page.getByText('/fresh-').first().waitFor({ timeout: 10000 });
    return { rows: await page.locator('#list tbody tr').count() };
  },

  /** A config with an error, then a right one, by clicking; then back to what was. */
  async apply() {
    const page = await open('changes', { quiet: true });
    const text = await page.locator('#config').inputValue();
    await page.locator('#config').fill(text.replace('body: one', 'boddy: one'));
    await page.locator('#check').click();
    await page.locator('#findings .bad').first().waitFor();
    const finding = await page.locator('#findings').innerText();
    await page.locator('#findings .where').first().click();
    const selected = await page.evaluate(() => { const area = document.getElementById('config'); return area.value.slice(area.selectionStart, area.selectionEnd); });
    await page.locator('#config').fill(text.replace('body: one', 'body: two'));
    await page.locator('#note').fill('by clicking');
    await page.locator('#check').click();
    await page.locator('#apply').waitFor();
    const effect = await page.locator('#effect').innerText();
    await page.locator('#apply').click();
    await page.locator('#applied').waitFor();
    const applied = await (await fetch(`${edge}/`)).text();
    await page.reload();
    await page.locator('#history').getByRole('button', { name: 'Roll back to it' }).last().click();
    await page.getByRole('button', { name: 'Really go back' }).click();
    await page.getByText('Done: generation').waitFor();
    const back = await (await fetch(`${edge}/`)).text();
    return { finding, selected, effect, applied, back };
  },

  /** A config of thousands: found by searching, and a cluster's endpoints are its own. */
  async large() {
    const page = await open('map');
    const count = place => page.locator(`${place} .item, ${place} tbody tr`).count();
    await page.locator('#routes .item').first().waitFor();
    const drawn = { routes: await count('#routes'), endpoints: await count('#endpoints') };
    const started = performance.now();
    await page.getByLabel('Search routes').fill('route-9999');
    await page.locator('#routes .item', { hasText: 'route-9999' }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll('#routes .item').length === 1);
    await page.locator('#routes .item').click();
    await page.getByText('Endpoints of last').waitFor();
    await page.getByLabel('Search endpoints').fill('10.9.19.130');
    await page.waitForFunction(() => document.querySelectorAll('#endpoints tbody tr').length === 1);
    const found = await page.locator('#endpoints tbody tr').innerText();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (folder) await page.screenshot({ path: `${folder}/large.png`, fullPage: true });
    return { drawn, found, wide, ms: Math.round(performance.now() - started) };
  },

  /** The gateway ends while the page is open: the page says so, and does not fall blank. */
  async dead() {
    const page = await open('overview', { quiet: true });
    console.log(JSON.stringify({ opened: true }));
    await page.locator('#dead').waitFor({ state: 'visible', timeout: 30000 });
    return { says: await page.locator('#dead').innerText(), verdict: await page.locator('#verdict').innerText(), views: await page.locator('main h1').count() };
  },

  /** Markup in whatever a client or a config can say stays text. */
  async hostile() {
    const page = await open('requests');
    let raised = 0;
    page.on('dialog', dialog => { raised += 1; dialog.dismiss(); });
    await page.locator('#list tbody tr', { hasText: '/app' }).first().click();
    await page.getByText('The record').waitFor();
    const record = await page.locator('main pre').innerText();
    for (const view of ['map', 'overview', 'changes', 'explain', 'consumers']) {
      await page.goto(`${admin}/#/${view}`);
      await page.locator('main h1').first().waitFor();
      await page.waitForTimeout(500);
    }
    const images = await page.evaluate(() => document.querySelectorAll('main img, main script').length);
    const marked = await page.evaluate(() => globalThis.hurt ?? null);
    return { raised, images, marked, shown: record.includes('<img') };
  },

  /** Without a token the page asks for one; with a wrong one it says so; with the right one it works. */
  async token() {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${admin}/`);
    const enter = async token => { await page.locator('#token').fill(token); await page.getByRole('button', { name: 'Sign in' }).click(); };
    await page.locator('#login').waitFor();
    await enter('wrong-token');
    await page.getByText('That token is not known.').waitFor();
    await enter('right-token');
    await page.getByText('The last minute').waitFor();
    return { cookies: (await context.cookies()).length, kept: await page.evaluate(() => [localStorage.length, sessionStorage.length]) };
  },

  /** Views by key. */
  async keys() {
    const page = await open('overview');
    await page.keyboard.press('5');
    await page.getByRole('heading', { name: 'Requests' }).waitFor();
    // The heading stands before what is searched has come.
    await page.locator('main input').first().waitFor();
    await page.keyboard.press('/');
    await page.waitForFunction(() => document.activeElement !== document.body);
    const focused = await page.evaluate(() => document.activeElement.tagName);
    await page.locator('h1').click();
    await page.keyboard.press('?');
    await page.locator('#help').waitFor();
    return { focused };
  },
};

try {
  const told = await checks[check]();
  console.log(JSON.stringify({ ...told, complaints }));
} finally {
  await browser.close();
}
