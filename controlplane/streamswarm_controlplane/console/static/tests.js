import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { element, refill } from "./dom.js";
import { describeSchedule } from "./schedule.js";
import { TestDetail } from "./testdetail.js";
import { TestForm } from "./testform.js";

const byId = (id) => document.getElementById(id);
const add = byId("add");
const mayChange = Boolean(add);
const detail = new TestDetail(mayChange);
const chosen = new Set();
const MOST_NAMES = 4;
const WORDS = { run: "asked to run", pause: "paused", resume: "resumed", stop: "stopped", restart: "restarted", delete: "deleted" };
let known = { probes: [], agents: [], assignments: [], tests: [] };

const form = mayChange && new TestForm(byId("form"), async (made) => {
  say(made.warnings?.length ? `Saved. Mind that ${made.warnings.join("; ")}.` : "");
  await load();
});

async function load() {
  const [probes, agents, assignments, tests] = await Promise.all(
    ["/probes", "/agents", "/assignments", "/tests"].map((path) => api.all(path)));
  known = { probes, agents, assignments, tests };
  for (const id of chosen) if (!tests.some((test) => test.id === id)) chosen.delete(id);
  draw();
}

function draw() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = known.tests.filter((test) => {
    const text = [test.name, test.key, test.probe, test.target, test.selector].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const names = new Map(known.agents.map((agent) => [agent.id, agent.name]));
  refill(byId("rows"), shown.map((test) => row(test, names)));
  byId("table").hidden = !shown.length;
  const empty = byId("empty");
  empty.hidden = shown.length > 0;
  empty.textContent = known.tests.length ? "Nothing matches the filter."
    : "No test yet. Add one, and choose the agents that run it.";
  drawBulk(shown);
}

function row(test, names) {
  const assigned = known.assignments.filter((one) => one.test_id === test.id).map((one) => names.get(one.agent_id)).sort();
  const [when, more] = describeSchedule(test);
  const agents = assigned.length > MOST_NAMES ? `${assigned.slice(0, MOST_NAMES).join(", ")} and ${assigned.length - MOST_NAMES} more`
    : assigned.join(", ");
  return element("tr", { "data-test": test.key },
    mayChange ? element("td", { class: "choose" }, element("input", { type: "checkbox", checked: chosen.has(test.id),
      "aria-label": `Choose ${test.name}`, onclick: (event) => choose(test, event.target.checked) })) : null,
    element("td", { class: "wide" }, element("button", { class: "link", type: "button", onclick: () => detail.open(test) }, test.name),
      element("span", { class: "sub" }, test.key, " · ", element("a", { href: `/results?test=${test.id}` }, "results"))),
    element("td", { class: "probe" }, test.probe), element("td", { class: "wide" }, test.target || "the agent's host"),
    element("td", {}, when, more ? element("span", { class: "sub" }, more) : null),
    element("td", { class: "wide agents", title: assigned.join(", ") }, agents || element("span", { class: "state stale" }, "none"),
      test.selector ? element("span", { class: "sub" }, test.selector) : null),
    element("td", {}, element("span", { class: `state ${test.paused ? "paused" : "up"}` },
      element("span", { "aria-hidden": "true" }, test.paused ? "‖" : "✓"), test.paused ? "paused" : "active")),
    element("td", { class: "actions" }, ...(mayChange ? actions(test) : [])));
}

function actions(test) {
  const button = (label, onclick) => element("button", { class: "quiet small", type: "button", onclick }, label);
  const menu = element("details", { class: "menu" }, element("summary", { class: "quiet small", "aria-label": `More for ${test.name}` }, "⋯"),
    element("div", {}, ...[
      ...(test.paused ? [] : [button("Stop", () => act("stop", [test]))]),
      button("Restart", () => act("restart", [test])), button("Copy", () => copy(test)),
      button("Delete", () => act("delete", [test])),
    ]));
  return [
    ...(test.paused ? [] : [button("Run now", () => act("run", [test])), " "]),
    button(test.paused ? "Resume" : "Pause", () => act(test.paused ? "resume" : "pause", [test])), " ",
    button("Edit", () => edit(test)), " ", menu];
}

function choose(test, on) {
  if (on) chosen.add(test.id); else chosen.delete(test.id);
  draw();
}

function drawBulk(shown) {
  if (!mayChange) return;
  byId("bulk").hidden = !chosen.size;
  byId("bulk-count").textContent = `${chosen.size} chosen`;
  const all = byId("choose-all");
  all.checked = shown.length > 0 && shown.every((test) => chosen.has(test.id));
  all.indeterminate = !all.checked && chosen.size > 0;
}

async function act(action, tests) {
  if (action === "delete" && !(await confirmed(tests))) return;
  try {
    const answer = await api.post("/tests/bulk", { action, ids: tests.map((test) => test.id) });
    const names = new Map(tests.map((test) => [test.id, test.name]));
    const failed = answer.items.filter((item) => !item.ok).map((item) => `${names.get(item.id)}: ${item.detail}`);
    const done = answer.items.length - failed.length;
    const what = tests.length === 1 ? tests[0].name : `${done} of ${tests.length} tests`;
    say([done ? `${what} ${WORDS[action]}.` : "", ...failed].filter(Boolean).join(" "), failed.length > 0);
  } catch (problem) {
    say(problem.message, true);
  }
  await load();
  detail.load().catch(() => null);
}

async function edit(test) {
  try {
    await form.edit(known, test);
    say("");
  } catch (problem) {
    say(problem.message, true);
    await load();
  }
}

async function copy(test) {
  try {
    const made = await api.post(`/tests/${test.id}/clone`, {});
    await load();
    say(`${made.name} is a copy, and paused. Change what differs, then resume it.`);
    await form.edit(known, made);
  } catch (problem) {
    say(problem.message, true);
  }
}

function confirmed(tests) {
  const what = tests.length === 1 ? `the test ${tests[0].name}` : `${tests.length} tests`;
  return ask(`Delete ${what}? What was measured stays, and so do the run records.`, "Delete");
}

function say(text, bad = false) {
  const place = byId("notice");
  place.textContent = text;
  place.hidden = !text;
  place.classList.toggle("problem", bad);
}

byId("search").addEventListener("input", draw);
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
byId("rows").addEventListener("keydown", (event) => {
  const menu = event.target.closest("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
byId("choose-all")?.addEventListener("change", (event) => {
  for (const line of byId("rows").querySelectorAll("[data-test]")) {
    const test = known.tests.find((one) => one.key === line.dataset.test);
    if (event.target.checked) chosen.add(test.id); else chosen.delete(test.id);
  }
  draw();
});
for (const button of document.querySelectorAll("[data-bulk]")) {
  button.addEventListener("click", () => act(button.dataset.bulk, known.tests.filter((test) => chosen.has(test.id))));
}
add?.addEventListener("click", () => form.open(known));

await load();
add?.removeAttribute("disabled"); // the form needs to know probes and agents
setInterval(() => detail.load().catch(() => null), 5000);
