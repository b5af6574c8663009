import { api, showProblem } from "./api.js";
import { ask } from "./dialogs.js";
import { element, onSubmit } from "./dom.js";
import { formatLength, formatLocal, ZONE } from "./format.js";
import { fillZones, readMoment, writeMoment } from "./schedule.js";

const byId = (id) => document.getElementById(id);
const form = byId("form");
const add = byId("add");
const mayChange = Boolean(add);
const STATES = { active: ["▲", "stale", "silences now"], waiting: ["…", "pending", "to come"], over: ["✓", "paused", "over"] };
let [agents, tests, edited, etag] = [[], [], null, ""];

async function load() {
  let windows;
  [windows, agents, tests] = await Promise.all(["/maintenance", "/agents", "/tests"].map((path) => api.all(path)));
  const order = (one) => (one.active ? 0 : one.over ? 2 : 1);
  windows.sort((one, other) => order(one) - order(other));
  byId("rows").replaceChildren(...windows.map(row));
  byId("table").hidden = !windows.length;
  byId("empty").hidden = windows.length > 0;
}

function row(window) {
  const [icon, look, word] = STATES[window.active ? "active" : window.over ? "over" : "waiting"];
  const more = window.active ? `until ${formatLocal(window.active_until)}`
    : window.next_start_at ? `from ${formatLocal(window.next_start_at)}` : "";
  const button = (label, onclick) => element("button", { class: "quiet small", type: "button", onclick }, label);
  return element("tr", { "data-window": window.name },
    element("td", {}, element("span", { class: `state ${look}` }, element("span", { "aria-hidden": "true" }, icon), word),
      more ? element("span", { class: "sub" }, more) : null),
    element("td", { class: "wide" }, window.name, window.note ? element("span", { class: "sub" }, window.note) : null),
    element("td", {}, ...when(window)), element("td", { class: "wide" }, what(window)), element("td", {}, window.created_by),
    element("td", { class: "actions" }, ...(mayChange ? [
      ...(window.over ? [] : [button("End", () => end(window)), " "]),
      button("Edit", () => edit(window)), " ", button("Delete", () => remove(window))] : [])));
}

function when(window) {
  if (!window.cron) return [formatLocal(window.starts_at), element("span", { class: "sub" }, `to ${formatLocal(window.ends_at)}`)];
  return [`cron ${window.cron}`, element("span", { class: "sub" }, `${window.zone}, for ${formatLength(window.duration)}`)];
}

function what(window) {
  if (window.everything) return "all alerts";
  const names = (ids, known) => ids.map((id) => known.find((one) => one.id === id)?.name || "deleted").join(", ");
  const who = [names(window.agent_ids, agents), window.selector].filter(Boolean).join(" and ");
  const tested = names(window.test_ids, tests);
  return [tested && `test ${tested}`, who && `on ${who}`].filter(Boolean).join(" ");
}

function draw() {
  for (const part of form.querySelectorAll("[data-kinds]")) part.hidden = part.dataset.kinds !== form.kind.value;
  byId("scope").hidden = form.everything.checked;
  form.starts_at.required = form.ends_at.required = form.kind.value === "once";
  form.cron.required = form.minutes.required = form.kind.value === "cron";
}

function open(window = null) {
  edited = window;
  byId("form-title").textContent = window ? `Edit ${window.name}` : "Add a window";
  byId("submit").textContent = window ? "Save" : "Add";
  form.elements.namedItem("name").value = window?.name || "";
  form.note.value = window?.note || "";
  form.kind.value = window?.cron ? "cron" : "once";
  form.cron.value = window?.cron || "0 2 * * *";
  form.zone.value = window?.cron ? window.zone : ZONE;
  form.minutes.value = window?.duration ? window.duration / 60 : 60;
  const thisMinute = Date.now() - (Date.now() % 60000);
  writeMoment(form.starts_at, window ? window.starts_at : new Date(thisMinute).toISOString());
  writeMoment(form.ends_at, window ? window.ends_at : new Date(thisMinute + 3600000).toISOString());
  form.everything.checked = Boolean(window?.everything);
  form.selector.value = window?.selector || "";
  const fill = (select, known, ids) => select.replaceChildren(...known.map((one) =>
    element("option", { value: one.id, selected: ids?.includes(one.id) }, one.name)));
  fill(form.agent_ids, agents, window?.agent_ids);
  fill(form.test_ids, tests, window?.test_ids);
  showProblem(null);
  form.hidden = false;
  draw();
  form.scrollIntoView({ block: "start" });
  form.elements.namedItem("name").focus({ preventScroll: true });
}

async function edit(window) {
  try {
    const found = await api.read(`/maintenance/${window.id}`);
    etag = found.etag;
    open(found.body);
  } catch (problem) {
    say(problem.message, true);
  }
}

function read() {
  const cron = form.kind.value === "cron";
  const chosen = (select) => [...select.selectedOptions].map((option) => option.value);
  const scope = form.everything.checked ? { everything: true }
    : { agent_ids: chosen(form.agent_ids), test_ids: chosen(form.test_ids), selector: form.selector.value };
  return {
    name: form.elements.namedItem("name").value, note: form.note.value,
    starts_at: readMoment(form.starts_at), ends_at: readMoment(form.ends_at),
    ...(cron && { cron: form.cron.value.trim(), zone: form.zone.value.trim(), duration: Number(form.minutes.value) * 60 }),
    ...scope,
  };
}

async function end(window) {
  const question = `End ${window.name} now? Its alerts are told again${window.cron ? ", and it doesn't recur any more" : ""}.`;
  if (await ask(question, "End")) await attempt(() => api.post(`/maintenance/${window.id}/end`), `${window.name} silences nothing any more.`);
}

async function remove(window) {
  if (await ask(`Delete the window ${window.name}?`, "Delete")) {
    await attempt(() => api.delete(`/maintenance/${window.id}`), `${window.name} deleted.`);
  }
}

async function attempt(change, done) {
  try {
    await change();
    say(done);
  } catch (problem) {
    say(problem.message, true);
  }
  await load();
}

function say(text, bad = false) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
  byId("notice").classList.toggle("problem", bad);
}

if (mayChange) {
  fillZones(byId("zones"));
  for (const place of form.querySelectorAll("[data-zone-name]")) place.textContent = ZONE;
  form.kind.addEventListener("change", () => {
    // A recurring window has no bounds unless somebody wants them.
    if (form.kind.value === "cron" && !edited) form.starts_at.value = form.ends_at.value = "";
    draw();
  });
  form.everything.addEventListener("change", draw);
  form.addEventListener("reset", () => { form.hidden = true; showProblem(null); });
  onSubmit(form, async () => {
    showProblem(null);
    try {
      const made = edited ? await api.put(`/maintenance/${edited.id}`, read(), etag) : await api.post("/maintenance", read());
      form.hidden = true;
      say(made.warnings.length ? `Saved. Mind that ${made.warnings.join("; ")}.` : "", made.warnings.length > 0);
      await load();
    } catch (problem) {
      showProblem(problem);
    }
  });
  add.addEventListener("click", () => open());
}

await load();
add?.removeAttribute("disabled"); // the form needs to know agents and tests
setInterval(() => load().catch(() => null), 15000);
