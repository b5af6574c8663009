import { api, showProblem } from "./api.js";
import { ask as sure } from "./dialogs.js";
import { element, refill } from "./dom.js";
import { formatAge, formatLocal, formatMoment, formatSeconds } from "./format.js";

const EVENTS = {
  agent_offline: "Agent offline", test_down: "Down", no_data: "No data", threshold: "Threshold", anomaly: "Anomaly",
  store_unavailable: "Store",
};
const PAGE = 100;
const ICONS = { critical: "✕", warning: "!", info: "i" };
const mayChange = ["operator", "admin"].includes(document.body.dataset.role);
const tabs = [...document.querySelectorAll("[data-state]")];
const place = (name) => document.getElementById(name);
let state = "open";
let wanted = PAGE;
let failed = false;

async function load() {
  try {
    const asked = state;
    const { found, rest } = await newest();
    if (asked !== state) return;
    refill(place("rows"), found.map(row));
    if (failed) showProblem(null);
    failed = false;
    place("empty").hidden = found.length > 0;
    place("table").hidden = found.length === 0;
    place("empty").textContent = state === "open" ? "Nothing is wrong." : "No alert has been closed yet.";
    place("more-box").hidden = !rest;
    await loadSilences();
  } catch (problem) {
    failed = true;
    showProblem(problem);
  }
}

// As many as are shown, so that those that somebody has asked for don't go with the next look.
async function newest() {
  const found = [];
  let cursor = "";
  while (cursor !== null && found.length < wanted) {
    const page = await api.get(`/alerts?${new URLSearchParams({ limit: PAGE, state, ...(cursor && { cursor }) })}`);
    found.push(...page.items);
    cursor = page.next_cursor;
  }
  return { found, rest: cursor !== null };
}

function row(alert) {
  const opened = Date.parse(alert.opened_at);
  const closed = alert.closed_at ? Date.parse(alert.closed_at) : null;
  const lasted = closed ? formatSeconds((closed - opened) / 1000) : "";
  return element("tr", { "data-alert": alert.event, "data-id": alert.id, class: alert.held_back ? "held" : "" },
    element("td", {}, element("span", { class: `state ${closed ? "up" : alert.severity}` },
      element("span", { "aria-hidden": "true" }, closed ? "✓" : ICONS[alert.severity]), closed ? "closed" : alert.severity)),
    element("td", { class: "wide" }, about(alert), element("span", { class: "sub" }, alert.detail),
      alert.held_back && !closed ? element("span", { class: "sub" }, `Not told: ${alert.held_back}`) : null,
      closed ? element("span", { class: "sub" }, `Closed: ${alert.close_reason}`) : null),
    element("td", {}, EVENTS[alert.event] || alert.event),
    element("td", {}, alert.labels.agent || "–", element("span", { class: "sub" }, alert.labels.site || "")),
    element("td", {}, element("time", { title: formatMoment(opened) }, formatAge(opened)),
      element("span", { class: "sub" }, closed ? `lasted ${lasted}` : formatLocal(opened, "medium"))),
    element("td", {}, alert.acknowledged_by || "–", element("span", { class: "sub" }, alert.comment)),
    element("td", { class: "actions" }, ...(mayChange && !closed ? [
      alert.acknowledged_at ? button("Release", () => act(() => api.delete(`/alerts/${alert.id}/acknowledge`)))
        : button("Acknowledge", () => acknowledge(alert)), " ",
      button("Silence", () => silence(alert))] : [])));
}

function about(alert) {
  const { test, agent, measurement, field } = alert.labels;
  // All fields together are none of the test's own.
  const shown = { test, ...(agent && { agent }), ...(field && field !== "all" && { field: `${measurement}.${field}` }), since: alert.opened_at };
  const page = test ? `/results?${new URLSearchParams(shown)}` : agent && `/agents?q=${encodeURIComponent(agent)}`;
  return page ? element("a", { class: "row-link", href: page }, alert.summary) : alert.summary;
}

function button(text, onclick) {
  return element("button", { class: "quiet small", type: "button", onclick }, text);
}

async function act(work) {
  try {
    await work();
    showProblem(null);
  } catch (problem) {
    showProblem(problem);
  }
  await load();
}

function ask(dialog, title) {
  dialog.querySelector("p").textContent = title;
  dialog.returnValue = "";
  dialog.querySelector("form").reset();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function acknowledge(alert) {
  const dialog = place("acknowledge");
  if (!(await ask(dialog, alert.summary))) return;
  await act(() => api.post(`/alerts/${alert.id}/acknowledge`, { comment: dialog.querySelector("[name=comment]").value }));
}

async function silence(alert) {
  const dialog = place("silence");
  const labels = { event: alert.event, ...alert.labels };
  const wanted = Object.entries(labels).filter(([name]) => ["event", "agent", "test", "measurement", "field"].includes(name));
  dialog.querySelector(".checks").replaceChildren(...wanted.map(([name, value]) => element("label", {},
    element("input", { type: "checkbox", name: "matcher", value: name, checked: true }), ` ${name} = ${value}`)));
  const answered = ask(dialog, `Tell nobody of what is like “${alert.summary}”`);
  if (!(await answered)) return;
  const chosen = [...dialog.querySelectorAll("[name=matcher]:checked")].map((box) => box.value);
  const hours = Number(dialog.querySelector("[name=hours]").value);
  await act(() => api.post("/silences", {
    matchers: chosen.map((label) => ({ label, operator: "=", value: labels[label] })),
    ends_at: new Date(Date.now() + hours * 3600e3).toISOString(),
    comment: dialog.querySelector("[name=comment]").value,
  }));
}

async function endSilence(one) {
  if (await sure("End the silence? What is open is told then.", "End")) await act(() => api.delete(`/silences/${one.id}`));
}

async function loadSilences() {
  const pages = await Promise.all(["active", "pending"].map((one) => api.all(`/silences?state=${one}`)));
  const found = pages.flat();
  place("silences").hidden = found.length === 0;
  place("silence-rows").replaceChildren(...found.map((one) => element("tr", {},
    element("td", { class: "wide" }, one.matchers.map((m) => `${m.label} ${m.operator} ${m.value}`).join(", ")),
    element("td", { class: "wide" }, one.comment), element("td", {}, one.created_by),
    element("td", {}, Date.parse(one.starts_at) > Date.now() ? `from ${formatLocal(one.starts_at)}` : "now"),
    element("td", {}, element("time", { title: formatMoment(Date.parse(one.ends_at)) }, formatLocal(one.ends_at))),
    element("td", { class: "actions" }, mayChange ? button("End", () => endSilence(one)) : null))));
}

for (const tab of tabs) {
  tab.addEventListener("click", () => {
    state = tab.dataset.state;
    wanted = PAGE;
    for (const other of tabs) other.setAttribute("aria-pressed", String(other === tab));
    load();
  });
}
place("more").addEventListener("click", () => { wanted += PAGE; load(); });
await load();
setInterval(() => { if (!document.hidden && !document.querySelector("dialog[open]") && state === "open") load(); }, 5000);
