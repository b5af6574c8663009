import { api, showProblem } from "./api.js";
import { action, ask, choice, edit, field, moment, reveal } from "./dialogs.js";
import { element, ready } from "./dom.js";

const form = document.getElementById("form");
const SCOPES = [["read", "read – see everything"], ["operate", "operate – change tests and agents"], ["admin", "admin – manage users and tokens"]];
const MAY = { viewer: 1, operator: 2, admin: 3 };

async function load() {
  const [me, sessions, tokens] = await Promise.all([api.get("/auth/me"), api.all("/auth/sessions"), api.all("/auth/tokens")]);
  form.display_name.value = me.display_name;
  form.email.value = me.email;
  document.getElementById("who").textContent = `${me.username} · role ${me.role}`;
  document.getElementById("sessions").replaceChildren(...sessions.map(session));
  document.getElementById("tokens").replaceChildren(...tokens.map(token));
  document.getElementById("no-tokens").hidden = tokens.length > 0;
  document.getElementById("end-others").hidden = sessions.length < 2;
  ready("add-token", () => add(SCOPES.slice(0, MAY[me.role])));
}

async function act(run) {
  await run();
  await load();
}

function session(one) {
  return element("tr", {},
    element("td", { class: "wide" }, one.user_agent || "unknown", one.current ? element("span", { class: "label" }, "this one") : null),
    element("td", {}, one.address), element("td", {}, moment(one.created_at)), element("td", {}, moment(one.last_seen_at)),
    element("td", { class: "actions" }, one.current ? null : action("End", () => act(() => api.delete(`/auth/sessions/${one.id}`)))));
}

function token(one) {
  const over = Date.parse(one.expires_at) <= Date.now();
  return element("tr", { "data-token": one.name }, element("td", {}, one.name), element("td", {}, one.scope),
    element("td", {}, over ? element("span", { class: "state down" }, "✕ expired") : moment(one.expires_at)),
    element("td", {}, moment(one.last_used_at)),
    element("td", { class: "actions" }, over ? null : action("Regenerate", () => regenerate(one)), action("Revoke", () => revoke(one))));
}

function add(scopes) {
  edit("Make a personal token", [
    field("Name", { name: "token_name", required: true, maxlength: 80, placeholder: "backup script" }),
    choice("May", "scope", scopes, "read"),
    field("Days until it expires", { name: "days", type: "number", min: 1, max: 3650, value: 90, required: true }),
  ], async (elements) => {
    const made = await api.post("/auth/tokens", { name: elements.token_name.value, scope: elements.scope.value, expires_in_days: Number(elements.days.value) });
    reveal(`The token ${made.name}`, made.token, "Shown only now. Send it as: Authorization: Bearer …");
    await load();
  }, "Make");
}

async function regenerate(one) {
  if (!await ask(`Give ${one.name} another secret? The old one is dead at once.`, "Regenerate")) return;
  const made = await api.post(`/auth/tokens/${one.id}/regenerate`);
  reveal(`The token ${made.name}`, made.token, "Shown only now. Send it as: Authorization: Bearer …");
  await load();
}

async function revoke(one) {
  if (await ask(`Revoke ${one.name}? What uses it stops working at once.`, "Revoke")) await act(() => api.delete(`/auth/tokens/${one.id}`));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  showProblem(null);
  try {
    await api.patch("/auth/me", { display_name: form.display_name.value, email: form.email.value });
    document.getElementById("saved").hidden = false;
  } catch (problem) {
    showProblem(problem);
  }
});
form.addEventListener("input", () => { document.getElementById("saved").hidden = true; });
document.getElementById("end-others").addEventListener("click", () => act(() => api.delete("/auth/sessions")));
await load();
