// The API, as the pages use it: JSON in and out, the CSRF token with every change, a way back to the login.

let csrfToken = null;

export class Problem extends Error {
  constructor(status, document) {
    super((document.detail || document.title || `HTTP ${status}`).replace(/(^|; )(body|query)\.(?=\w)/g, "$1"));
    this.status = status;
    this.type = document.type || "";
  }
}

async function send(method, path, body, etag) {
  return (await exchange(method, path, body, etag)).body;
}

async function exchange(method, path, body, etag) {
  const headers = { Accept: "application/json" };
  if (etag) headers["If-Match"] = etag;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = path === "/auth/login" ? "" : await csrf();
  const response = await fetch(`/api/v1${path}`, {
    method, headers, credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(15000),
  }).catch(unanswered);
  if (lostSince || (ended && response.ok)) { lostSince = null; ended = false; warn(""); }
  if (response.status === 204) return { body: null, etag: "" };
  const document = await response.json().catch(() => ({}));
  if (response.ok) return { body: document, etag: response.headers.get("ETag") };
  const problem = new Problem(response.status, document);
  if (response.status === 412) {
    problem.message = "Somebody else has changed it since you opened it, so nothing is saved. Cancel, open it again and look at theirs.";
  }
  if (problem.status === 401 && !location.pathname.startsWith("/login")) {
    endSession(problem);
  } else if (response.status === 403 && method !== "GET" && csrfToken && await renewed()) {
    return exchange(method, path, body, etag);
  } else if (problem.type.endsWith("password-change-required")) {
    location.assign("/password");
  }
  throw problem;
}

// Whoever is filling in a form keeps what they have entered; others are led to the login, and back.
function endSession(problem) {
  csrfToken = null;
  if (!document.querySelector("dialog[open], form.panel:not([hidden])")) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return;
  }
  ended = true;
  problem.message = "Your session has ended. What you have entered is still here: log in in another tab, then send it again.";
  warn(problem.message);
}

// Another login in this browser has another token.
async function renewed() {
  const old = csrfToken;
  csrfToken = null;
  return await csrf() !== old;
}

let lostSince = null;
let ended = false;
let leaving = false;
addEventListener("pagehide", () => { leaving = true; });

function unanswered() {
  lostSince ??= new Date();
  if (!leaving) warn(`The control plane doesn't answer since ${lostSince.toLocaleTimeString()}; what is shown is old.`);
  throw new Problem(0, { detail: "The control plane doesn't answer; try again." });
}

// Across the page: what holds for all of it.
export function warn(text) {
  const banner = document.getElementById("banner");
  if (!banner || banner.textContent === text) return;
  banner.textContent = text;
  banner.hidden = !text;
}

// What no part of a page has taken: nobody is to look at an empty page without a word.
for (const kind of ["error", "unhandledrejection"]) {
  addEventListener(kind, (event) => {
    const problem = event.error || event.reason;
    if (!(problem instanceof Problem)) return;
    event.preventDefault();
    if (problem.status !== 0 && problem.status !== 401) warn(problem.message);
  });
}

async function csrf() {
  csrfToken ??= (await send("GET", "/auth/me")).csrf_token;
  return csrfToken;
}

// Every page of a list, as one array.
async function all(path) {
  const items = [];
  let cursor = "";
  do {
    const more = new URLSearchParams({ limit: 200, ...(cursor && { cursor }) });
    const page = await send("GET", `${path}${path.includes("?") ? "&" : "?"}${more}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

export const api = {
  get: (path) => send("GET", path),
  read: (path) => exchange("GET", path), // with the entity tag, for a change that mustn't overwrite another
  all,
  post: (path, body) => send("POST", path, body),
  put: (path, body, etag) => send("PUT", path, body, etag),
  change: (path, body, etag) => exchange("PATCH", path, body, etag), // with the entity tag of what it has become
  patch: (path, body, etag) => send("PATCH", path, body, etag),
  delete: (path) => send("DELETE", path),
};

export function showProblem(problem) {
  const place = document.getElementById("problem");
  place.textContent = problem ? problem.message : "";
  place.hidden = !problem;
}

document.getElementById("logout")?.addEventListener("click", async () => {
  const answer = await api.post("/auth/logout").catch(() => null);
  location.assign(answer?.end_session_url || "/login");
});

const administration = document.getElementById("administration");
document.addEventListener("click", (event) => {
  if (administration && !administration.contains(event.target)) administration.open = false;
});
administration?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  administration.open = false;
  administration.querySelector("summary").focus();
});
