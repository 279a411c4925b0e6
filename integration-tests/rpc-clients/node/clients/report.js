// What a client script says: one line of JSON per check. A check that throws says what the application would have caught.

import { appendFileSync } from "node:fs";

/** Written at once, so that a process that dies has said what it saw. */
export function say(check, facts) {
  const text = JSON.stringify({ check, ...facts }, (_, item) => (typeof item === "bigint" ? Number(item) : item));
  appendFileSync(1, `${text}\n`);
}

/** Runs a check and says what it returned or threw. */
export async function check(name, run) {
  const start = performance.now();
  const milliseconds = () => Math.round(performance.now() - start);
  try {
    say(name, { ok: await run(), milliseconds: milliseconds() });
  } catch (error) {
    say(name, { error: caught(error), milliseconds: milliseconds() });
  }
}

function caught(error) {
  const { name, message, code, context, logs, data } = error;
  return { name, message, code, context: context && { ...context }, logs: logs ?? undefined, data, cause: error.cause?.message };
}

// What nobody catches ends a process, an application's too.
process.on("uncaughtException", (error) => {
  say("uncaught", { error: caught(error) });
  process.exit(70);
});

/** The calls of a command line, one after the other: a kind, a name and a URL each. */
export async function eachCall(run) {
  const words = process.argv.slice(3);
  for (let at = 0; at < words.length; at += 3) await run(...words.slice(at, at + 3));
}

/** Resolves when standard input ends: whoever started the script is done with it. */
export function dismissed() {
  return new Promise((done) => process.stdin.resume().on("end", done));
}
