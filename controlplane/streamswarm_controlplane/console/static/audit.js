import { api, showProblem } from "./api.js";
import { moment } from "./dialogs.js";
import { element } from "./dom.js";

const form = document.getElementById("form");
let cursor = null;
let asked = 0;

function wanted() {
  const query = new URLSearchParams();
  for (const name of ["q", "actor", "action", "target"]) if (form[name].value.trim()) query.set(name, form[name].value.trim());
  for (const name of ["since", "until"]) if (form[name].value) query.set(name, new Date(form[name].value).toISOString());
  return query;
}

function changes(entry) {
  const names = [...new Set([...Object.keys(entry.before || {}), ...Object.keys(entry.after || {})])];
  const same = (name) => JSON.stringify(entry.before?.[name]) === JSON.stringify(entry.after?.[name]);
  const text = (value) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));
  const empty = (name) => !entry.before?.[name] && [undefined, null, ""].includes(entry.after?.[name]);
  return names.filter((name) => !same(name) && !empty(name)).map((name) => element("span", { class: "sub" }, `${name}: `,
    entry.before?.[name] === undefined ? "" : element("del", {}, text(entry.before[name])), " ", text(entry.after?.[name])));
}

function row(entry) {
  return element("tr", {}, element("td", {}, moment(entry.time)),
    element("td", {}, entry.actor, element("span", { class: "sub" }, entry.via ? `by the token ${entry.via}` : entry.actor_kind)),
    element("td", {}, entry.address || "–"), element("td", {}, element("code", {}, entry.action)),
    element("td", { class: "wide" }, entry.object), element("td", { class: "wide" }, ...changes(entry)));
}

async function load(more = false) {
  showProblem(null);
  const query = wanted();
  for (const format of ["csv", "jsonl"]) {
    document.getElementById(format).href = `/api/v1/audit/export?${new URLSearchParams([...query, ["format", format]])}`;
  }
  query.set("limit", "100");
  if (more && cursor) query.set("cursor", cursor);
  const number = ++asked;
  try {
    const page = await api.get(`/audit?${query}`);
    if (number !== asked) return;  // a later question has overtaken this one's answer
    cursor = page.next_cursor;
    const rows = document.getElementById("rows");
    rows.replaceChildren(...(more ? rows.children : []), ...page.items.map(row));
    document.getElementById("empty").hidden = rows.children.length > 0;
    document.getElementById("more").hidden = !cursor;
  } catch (problem) {
    showProblem(problem);
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
form.addEventListener("reset", () => setTimeout(load));
document.getElementById("more").addEventListener("click", () => load(true));
await load();
