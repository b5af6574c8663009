import { api, warn } from "./api.js";
import { element, refill, sparkline } from "./dom.js";
import { formatAge, formatMoment, formatValue } from "./format.js";

const REFRESH = 2000;
const LONGEST_DELAY = 30000;
const FEW = 200; // more than anybody reads, and as many as a phone can draw anew every two seconds
const STATES = {
  down: ["✕", "down"], stale: ["◌", "no recent data"], pending: ["…", "waiting for data"], up: ["✓", "up"],
  paused: ["‖", "paused"],
};
const ORDER = Object.keys(STATES);

let items = [];
let filter = "";
let sort = { key: "state", descending: false };
let lostSince = null;
let most = FEW;

const rows = document.getElementById("rows");
const search = document.getElementById("search");
const more = document.getElementById("more");

const SORT_KEYS = {
  state: (item) => ORDER.indexOf(item.state),
  test: (item) => item.test.name.toLowerCase(),
  target: (item) => item.test.target,
  agent: (item) => item.agent.name,
  value: (item) => item.value ?? -Infinity,
  anomaly: (item) => -(item.anomaly ? item.anomaly.score + (item.anomaly.flag ? 1 : 0) : 0),
  seen: (item) => -(item.last_time ? Date.parse(item.last_time) : 0),
};

function visible(item) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [item.test.name, item.test.key, item.test.probe, item.test.target, item.agent.name, item.agent.site]
    .join(" ").toLowerCase();
  const wanted = !filter || (filter === "anomaly" ? item.anomaly?.flag : item.state === filter);
  return wanted && words.every((word) => text.includes(word));
}

function compare(one, other) {
  const [a, b] = [SORT_KEYS[sort.key](one), SORT_KEYS[sort.key](other)];
  const order = a < b ? -1 : a > b ? 1 : one.test.name.localeCompare(other.test.name);
  return sort.descending ? -order : order;
}

function row(item) {
  const [icon, word] = STATES[item.state];
  const seen = item.last_time ? Date.parse(item.last_time) : null;
  const old = item.state === "stale" || item.state === "pending";
  return element("tr", { "data-test": item.test.key, "data-agent": item.agent.name, "data-state": item.state },
    element("td", { class: "state-cell" },
      element("span", { class: `state ${item.state}` }, element("span", { "aria-hidden": "true" }, icon), word)),
    element("td", { class: "test-cell wide" },
      element("a", { class: "row-link", href: `/results?test=${item.test.id}` }, item.test.name), element("span", { class: "sub" }, item.test.probe)),
    element("td", { class: "target-cell wide" }, item.test.target || "this host",
      item.state === "down" && item.error
        ? element("span", { class: "sub" }, `${item.error.replaceAll("_", " ")}: ${item.error_detail}`) : null),
    element("td", { class: "agent-cell wide" }, item.agent.name,
      element("span", { class: "sub" }, [item.agent.site, item.agent.state === "online" ? "" : `agent ${item.agent.state}`]
        .filter(Boolean).join(" · "))),
    element("td", { class: "value", "data-raw": item.value ?? "", title: item.headline.label },
      old ? "–" : formatValue(item.value, item.headline.unit)),
    element("td", { class: "spark-cell" }, sparkline(item.sparkline, `${item.headline.label}, last 30 minutes`)),
    element("td", { class: "anomaly-cell" }, item.anomaly?.flag
      ? element("span", { class: "flag", title: `${item.anomaly.field}\n${formatMoment(item.anomaly.time)}` },
        `▲ ${item.anomaly.score.toFixed(2)}`) : ""),
    element("td", { class: "seen-cell" }, seen
      ? element("time", { datetime: item.last_time, title: formatMoment(seen) }, formatAge(seen)) : "never"));
}

function draw() {
  const shown = items.filter(visible).sort(compare);
  refill(rows, shown.slice(0, most).map(row));
  more.parentElement.hidden = shown.length <= most;
  more.textContent = `Show all ${shown.length}`;
  for (const state of ["up", "down", "stale", "pending"]) count(state, items.filter((item) => item.state === state).length);
  count("anomaly", items.filter((item) => item.anomaly?.flag).length);
  const empty = document.getElementById("empty");
  empty.hidden = shown.length > 0;
  empty.textContent = items.length
    ? "Nothing matches the filter."
    : "Nothing is measured yet. Enrol an agent under Agents, then add a test under Tests.";
}

function count(name, number) {
  const place = document.getElementById(`count-${name}`);
  place.textContent = number;
  place.parentElement.classList.toggle("some", number > 0);
}

async function refresh() {
  let delay = REFRESH;
  try {
    const status = await api.get("/status");
    items = status.items;
    lostSince = null;
    warn(status.store.ok ? "" : `The store can't be read, so values are missing: ${status.store.detail}`);
    document.getElementById("updated").textContent = `as of ${new Date(status.generated_at).toLocaleTimeString()}`;
    draw();
  } catch (problem) {
    lostSince ??= new Date();
    warn(`Connection lost since ${lostSince.toLocaleTimeString()}; what is shown is old. Trying again.`);
    delay = Math.min(LONGEST_DELAY, REFRESH + (Date.now() - lostSince) / 2);
  }
  setTimeout(refresh, delay);
}

search.addEventListener("input", draw);
more.addEventListener("click", () => { most = Infinity; draw(); });
for (const tile of document.querySelectorAll(".tile")) {
  tile.addEventListener("click", () => {
    filter = filter === tile.dataset.filter ? "" : tile.dataset.filter;
    for (const other of document.querySelectorAll(".tile")) {
      other.setAttribute("aria-pressed", String(other.dataset.filter === filter));
    }
    draw();
  });
}
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.querySelector("button").addEventListener("click", () => {
    sort = { key: head.dataset.sort, descending: sort.key === head.dataset.sort && !sort.descending };
    for (const other of document.querySelectorAll("th[data-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    draw();
  });
}
refresh();
