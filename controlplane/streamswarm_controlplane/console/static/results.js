import { api, showProblem } from "./api.js";
import { chart } from "./chart.js";
import { element } from "./dom.js";
import { formatAge, formatLength, formatLocal, formatMoment, formatSeconds, formatValue } from "./format.js";
import { describeSchedule } from "./schedule.js";

const MOST_LINES = 16;
const REFRESH = 10000;
const LENGTHS = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800, "30d": 2592000 };
const STATES = { up: "✓ up", down: "✕ down", stale: "◌ no recent data", pending: "… no data", paused: "‖ paused" };
const link = new URLSearchParams(location.search);
const testId = await idOf(link.get("test") || "");
const base = `/tests/${encodeURIComponent(testId)}/results`;
const place = (name) => document.getElementById(name);
const controls = place("controls");
let drawn = null;
let asked = 0;
let fieldsDrawn = false;

// Links in messages name a test by its key.
async function idOf(test) {
  if (!test || /^[0-9a-f]{32}$/.test(test)) return test;
  const found = await api.all(`/tests?q=${encodeURIComponent(test)}`).catch(() => []);
  return found.find((one) => one.key === test)?.id || test;
}

// An alert's link says what it is about: the field, the agent, and since when.
function followLink() {
  for (const name of ["field", "agent"]) {
    const wanted = link.get(name);
    if (wanted) controls[name].append(new Option(wanted, wanted, true, true));
  }
  const seconds = (Date.now() - Date.parse(link.get("since"))) / 1000;
  if (!(seconds >= 0)) return;
  const named = [...controls.range.options].map((one) => one.value).filter((one) => one !== "custom");
  controls.range.value = named.find((one) => LENGTHS[one] >= 1.25 * seconds) || named.at(-1);
}

function range() {
  if (controls.range.value !== "custom") return { start: `-${controls.range.value}`, stop: "now" };
  const moment = (input) => (input.value ? new Date(input.value).toISOString() : "");
  return { start: moment(controls.from) || "-1h", stop: moment(controls.to) || "now" };
}

function query(more) {
  const { start, stop } = range();
  const parameters = new URLSearchParams({ start, stop, ...more });
  if (controls.agent.value) parameters.append("agent", controls.agent.value);
  return parameters;
}

async function load() {
  const mine = ++asked;
  const field = controls.field.value;
  const points = Math.max(60, Math.min(600, Math.floor(place("chart").clientWidth / 3)));
  try {
    const [latest, history, runs] = await Promise.all([
      api.get(`${base}/latest`), api.get(`${base}?${query({ points, ...(field && { field }) })}`),
      api.get(`${base}/runs?${query({ limit: 25 })}`)]);
    if (mine !== asked) return;
    showProblem(null);
    if (!fieldsDrawn) drawFields(latest, history);
    drawAgents(latest);
    drawLatest(latest);
    drawn = history;
    drawChart();
    drawRuns(runs);
    drawLinks();
    place("updated").textContent = `as of ${new Date().toLocaleTimeString()}`;
  } catch (problem) {
    if (mine === asked) showProblem(problem);
  }
}

function drawFields(latest, history) {
  const groups = new Map();
  for (const one of latest.fields) {
    if (one.kind === "string") continue;
    if (!groups.has(one.measurement)) groups.set(one.measurement, []);
    groups.get(one.measurement).push(element("option", { value: `${one.measurement}.${one.field}`, title: one.help },
      one.field.replaceAll("_", " ")));
  }
  controls.field.replaceChildren(...[...groups].map(([name, options]) => element("optgroup", { label: name }, ...options)));
  const first = history.fields[0];
  if (first) controls.field.value = `${first.measurement}.${first.field}`;
  fieldsDrawn = true;
}

function drawAgents(latest) {
  const names = latest.agents.map((one) => one.agent);
  if (names.join() === [...controls.agent.options].slice(1).map((one) => one.value).join()) return;
  const chosen = controls.agent.value;
  controls.agent.replaceChildren(element("option", { value: "" }, "All agents"),
    ...names.map((name) => element("option", { value: name }, name)));
  controls.agent.value = names.includes(chosen) ? chosen : "";
}

function drawLatest(latest) {
  const agents = latest.agents;
  place("no-agents").hidden = agents.length > 0;
  place("latest").hidden = agents.length === 0;
  place("latest-head").replaceChildren(element("th", { scope: "col" }, "Newest"), ...agents.map((one) =>
    element("th", { scope: "col" }, one.agent, element("span", { class: `state ${one.state}` }, STATES[one.state]),
      element("span", { class: "sub" }, newestAge(one)))));
  const shown = latest.fields.filter((one) => agents.some((agent) => values(agent, one).length));
  const few = shown.filter((one) => one.worse || one.unit === "text");
  const folded = place("all-fields").checked ? shown : few;
  place("latest-rows").replaceChildren(...folded.map((one) => element("tr", { title: one.help },
    element("th", { scope: "row" }, one.field.replaceAll("_", " "),
      latest.fields.some((other) => other.measurement !== latest.fields[0].measurement)
        ? element("span", { class: "sub" }, one.measurement) : null),
    ...agents.map((agent) => element("td", { class: one.kind === "string" ? "wide" : "number" }, summary(agent, one))))));
}

function newestAge(agent) {
  const newest = Math.max(...agent.series.map((one) => Date.parse(one.time)));
  const seen = agent.series.length ? formatAge(newest) : "nothing within a day";
  return agent.agent_state && agent.agent_state !== "online" ? `${seen}, agent ${agent.agent_state}` : seen;
}

function values(agent, info) {
  return agent.series.filter((one) => one.measurement === info.measurement)
    .map((one) => one.values[info.field]).filter((value) => value !== undefined);
}

// Several series of an agent (interfaces, hops) are told by their range.
function summary(agent, info) {
  const found = values(agent, info);
  if (!found.length) return "–";
  if (info.kind === "string") return [...new Set(found)].slice(0, 3).join(", ");
  const [low, high] = [Math.min(...found), Math.max(...found)];
  return low === high ? formatValue(low, info.unit) : `${formatValue(low, info.unit)} … ${formatValue(high, info.unit)}`;
}

function drawChart() {
  const info = drawn.fields.find((one) => `${one.measurement}.${one.field}` === controls.field.value) || drawn.fields[0];
  const series = drawn.series.filter((one) => one.measurement === info?.measurement);
  const telling = distinguishing(series);
  const lines = series.slice(0, MOST_LINES).map((one) => ({
    label: telling.map((tag) => one.tags[tag]).filter(Boolean).join(" · ") || one.tags.agent || "all",
    points: one.rows.map((row) => [Date.parse(row[0]), row[one.columns.indexOf(info.field)]]),
  }));
  place("field-help").textContent = info ? `${info.help} ${aggregated(info)}` : "";
  place("no-data").hidden = lines.some((one) => one.points.length);
  place("too-many").hidden = series.length <= MOST_LINES;
  place("too-many").textContent = `${MOST_LINES} of ${series.length} series are drawn; choose an agent.`;
  place("chart-box").hidden = !place("no-data").hidden;
  if (place("chart-box").hidden) return;
  chart(place("chart"), place("legend"), {
    series: lines, start: Date.parse(drawn.start), stop: Date.parse(drawn.stop), unit: info.unit, every: drawn.every * 1000,
    label: `${info.field} from ${drawn.start} to ${drawn.stop}`,
  });
}

function aggregated(info) {
  const what = { mean: "mean", sum: "sum", max: "maximum", min: "minimum", count: "number" }[info.aggregate];
  return `Each point is the ${what} of ${formatLength(drawn.every)}.`;
}

function distinguishing(series) {
  const tags = [...new Set(series.flatMap((one) => Object.keys(one.tags)))];
  const several = tags.filter((tag) => new Set(series.map((one) => one.tags[tag])).size > 1 && tag !== "site");
  return ["agent", ...several.filter((tag) => tag !== "agent" && tag !== "test")];
}

function drawRuns(runs) {
  place("no-runs").hidden = runs.items.length > 0;
  place("runs").hidden = runs.items.length === 0;
  const chosen = runs.fields.find((one) => `${one.measurement}.${one.field}` === controls.field.value);
  place("run-value").textContent = chosen ? chosen.field.replaceAll("_", " ") : "";
  place("run-rows").replaceChildren(...runs.items.map((one) => {
    const time = Date.parse(one.time);
    const state = one.up === null ? "" : one.up ? "up" : "down";
    const value = chosen ? { duration: one.duration, up: one.up === null ? null : Number(one.up), seq: one.run, ...one.values }[chosen.field] : null;
    return element("tr", { "data-state": state },
      element("td", {}, element("time", { datetime: one.time, title: formatMoment(time) }, formatLocal(time, "medium"))),
      element("td", {}, one.agent),
      element("td", {}, state ? element("span", { class: `state ${state}` }, STATES[state]) : "–"),
      element("td", { class: "number" }, one.duration === null ? "–" : formatSeconds(one.duration)),
      element("td", { class: "number" }, chosen ? formatValue(value, chosen.unit) : ""),
      element("td", { class: "wide" }, [one.error.replaceAll("_", " "), one.error_detail].filter(Boolean).join(": ")));
  }));
}

function drawLinks() {
  for (const link of document.querySelectorAll("[data-format]")) {
    const measurement = controls.field.value.split(".")[0];
    link.href = `/api/v1${base}/export?${query({ format: link.dataset.format, ...(measurement && { measurement }) })}`;
  }
}

async function begin() {
  if (!testId) { location.replace("/"); return; }
  const test = await api.get(`/tests/${encodeURIComponent(testId)}`).catch((problem) => { showProblem(problem); return null; });
  if (test === null) { place("page").hidden = true; return; }
  place("name").textContent = test.name;
  document.title = `${test.name} – StreamSwarm`;
  place("about").textContent = [test.probe, test.target || "the agent's own host", ...describeSchedule(test),
    test.paused ? "paused" : ""].filter(Boolean).join(" · ");
  place("zone").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  followLink();
  await load();
  setInterval(() => { if (range().stop === "now" && !document.hidden) load(); }, REFRESH);
}

controls.addEventListener("change", () => {
  place("custom").hidden = controls.range.value !== "custom";
  load();
});
controls.addEventListener("submit", (event) => event.preventDefault());
place("all-fields").addEventListener("change", load);
addEventListener("resize", () => { if (drawn) drawChart(); });
await begin();
