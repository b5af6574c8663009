import { api } from "./api.js";
import { action, ask, edit, field, moment, reveal } from "./dialogs.js";
import { element, ready } from "./dom.js";
import { readLabels } from "./labels.js";

const admin = document.body.dataset.role === "admin";
const search = document.getElementById("search");
let enrolment = [];

async function load() {
  let collector;
  [enrolment, collector] = await Promise.all([api.all("/enrolment-tokens"), admin ? api.all("/tokens") : []]);
  document.getElementById("collector")?.replaceChildren(...collector.map(collectorRow));
  draw();
}

function draw() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = enrolment.filter((token) => words.every((word) => haystack(token).includes(word)));
  document.getElementById("enrolment").replaceChildren(...shown.map(enrolmentRow));
  const empty = document.getElementById("no-enrolment");
  empty.hidden = shown.length > 0;
  empty.textContent = enrolment.length ? "Nothing matches the filter." : "None yet. An agent exchanges one for a secret of its own.";
}

function haystack(token) {
  const labels = Object.entries(token.labels).map(([name, value]) => `${name}=${value}`);
  return [...enrolmentState(token), token.agent_name, token.used_by, token.site, token.created_by, ...labels].join("\n").toLowerCase();
}

async function act(run) {
  await run();
  await load();
}

function enrolmentState(token) {
  if (token.revoked_at) return ["down", "✕ revoked"];
  if (!token.uses_left) return ["pending", "‖ used up"];
  return Date.parse(token.expires_at) <= Date.now() ? ["pending", "‖ expired"] : ["up", "✓ good"];
}

function enrolmentRow(token) {
  const [kind, text] = enrolmentState(token);
  const labels = Object.entries(token.labels).map(([name, value]) => element("span", { class: "label" }, `${name}=${value}`));
  return element("tr", {}, element("td", {}, element("span", { class: `state ${kind}` }, text)),
    element("td", { class: "wide" }, token.agent_name || "any agent", token.used_by ? element("span", { class: "sub" }, `last: ${token.used_by}`) : null),
    element("td", { class: "wide" }, token.site || "–", " ", ...labels), element("td", { class: "number" }, `${token.uses_left} of ${token.uses}`),
    element("td", {}, moment(token.expires_at)),
    element("td", {}, token.created_by, element("span", { class: "sub" }, moment(token.created_at))),
    element("td", { class: "actions" }, kind === "up" ? action("Revoke", () => revokeEnrolment(token)) : null));
}

function collectorRow(token) {
  const [kind, text] = token.revoked_at ? ["down", "✕ revoked"] : token.expires_at && Date.parse(token.expires_at) <= Date.now()
    ? ["pending", "‖ expired"] : ["up", "✓ good"];
  return element("tr", {}, element("td", {}, element("span", { class: `state ${kind}` }, text)), element("td", { class: "wide" }, token.name),
    element("td", {}, token.scopes.join(", ")), element("td", {}, moment(token.expires_at)), element("td", {}, moment(token.last_used_at)),
    element("td", {}, token.created_by, element("span", { class: "sub" }, moment(token.created_at))),
    element("td", { class: "actions" }, kind === "up" ? action("Revoke", () => revoke(token)) : null));
}

async function revokeEnrolment(token) {
  const question = `Revoke the enrolment token for ${token.agent_name || "any agent"}? No agent can enrol with it any more; those that have stay.`;
  if (await ask(question, "Revoke")) await act(() => api.delete(`/enrolment-tokens/${token.id}`));
}

async function revoke(token) {
  const question = `Revoke ${token.name}? Collectors refuse it within 10 seconds.`;
  if (await ask(question, "Revoke")) await act(() => api.delete(`/tokens/${token.id}`));
}

ready("add-enrolment", () => edit("Make an enrolment token", [
  field("Site", { name: "site", maxlength: 63, placeholder: "berlin" }, "The site tag of what the agents measure."),
  field("Labels", { name: "labels", placeholder: "role=edge, provider=acme" }),
  field("Agents", { name: "uses", type: "number", min: 1, max: 10000, value: 1, required: true }, "How many can enrol with it."),
  field("Hours", { name: "hours", type: "number", min: 1, max: 720, value: 24, required: true }),
], async (form) => {
  const made = await api.post("/enrolment-tokens", { site: form.site.value, labels: readLabels(form.labels.value, ","), uses: Number(form.uses.value), hours: Number(form.hours.value) });
  reveal("Run this on the agents' hosts", made.command, "Shown only now.");
  await load();
}, "Make"));
ready("add-collector", () => edit("Make a collector token", [
  field("Name", { name: "token_name", required: true, maxlength: 80, placeholder: "grafana" }),
  element("fieldset", {}, element("legend", {}, "May"), element("div", { class: "checks" }, ...["read", "write"].map((scope) =>
    element("label", {}, element("input", { type: "checkbox", name: scope, checked: scope === "read" }), ` ${scope}`)))),
  field("Days until it expires", { name: "days", type: "number", min: 1, max: 3650, placeholder: "never" }),
], async (form) => {
  const scopes = ["read", "write"].filter((scope) => form[scope].checked);
  const made = await api.post("/tokens", { name: form.token_name.value, scopes, expires_in_days: form.days.value ? Number(form.days.value) : null });
  reveal(`The token ${made.name}`, made.token, "Shown only now. For collectors: Grafana reads with it, Telegraf writes.");
  await load();
}, "Make"));
search.addEventListener("input", draw);
await load();
