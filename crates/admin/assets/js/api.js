// The admin API. The token stays in this tab's session storage and goes out as a bearer token: there is no cookie that another
// page could use.

const KEY = 'portcullis-token';
let wants = () => {};

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The gateway answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

export const setToken = token => sessionStorage.setItem(KEY, token);
export const onUnauthorized = ask => { wants = ask; };

/** JSON of a path; throws `Refused` for an answer that is an error, `TypeError` when there is none. */
export async function call(path, { method = 'GET', body, headers = {}, raw = false } = {}) {
  const token = sessionStorage.getItem(KEY);
  const sent = { ...headers };
  if (token) sent.authorization = `Bearer ${token}`;
  const response = await fetch(path, { method, body, headers: sent, cache: 'no-store', signal: AbortSignal.timeout(20000) });
  const text = await response.text();
  if (!response.ok) {
    let problem = {};
    try { problem = JSON.parse(text); } catch { /* no problem+json: the status says it */ }
    if (response.status === 401) wants(token ? 'That token is not known.' : '');
    throw new Refused(response.status, problem);
  }
  return raw ? { text, etag: response.headers.get('etag') } : JSON.parse(text);
}

/** The same, and `null` where a path or thing is not there. */
export async function perhaps(path) {
  try { return await call(path); } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}
