// How one test is getting on: its agents, their newest results, its run records.

import { api } from "./api.js";
import { element } from "./dom.js";
import { formatAge, formatLocal, formatMoment, formatSeconds, formatValue } from "./format.js";

const byId = (id) => document.getElementById(id);
const STATES = {
  scheduled: ["…", "pending"], running: ["▶", "up"], done: ["✓", "up"], stopped: ["■", "paused"], failed: ["✕", "down"],
  missed: ["◌", "stale"],
};
const MORE = 20;

export class TestDetail {
  constructor(mayChange) {
    this.mayChange = mayChange;
    this.test = null;
    byId("detail-close").addEventListener("click", () => { byId("detail").hidden = true; this.test = null; });
    byId("run-status").addEventListener("change", () => this.load().catch(() => null));
  }

  async open(test) {
    this.test = test;
    byId("detail-title").textContent = test.name;
    byId("detail").hidden = false;
    await this.load();
    byId("detail").scrollIntoView({ block: "start" });
  }

  async load() {
    const { test } = this;
    if (!test) return;
    const filter = new URLSearchParams({ test_id: test.id, limit: MORE });
    if (byId("run-status").value) filter.set("status", byId("run-status").value);
    const [progress, runs] = await Promise.all([api.get(`/tests/${test.id}/progress`), api.get(`/runs?${filter}`)]);
    if (this.test !== test) return;
    const next = progress.next_start_at ? `Next start ${formatLocal(progress.next_start_at)} (your time).`
      : progress.over ? "Its schedule is over." : "";
    byId("detail-summary").textContent = progress.agents.length
      ? `${progress.taken} of ${progress.agents.length} agents run the newest version. ${next}` : `No agent runs it. ${next}`;
    byId("detail-store").textContent = progress.store_problem && `Results can't be read: ${progress.store_problem}`;
    byId("progress-rows").replaceChildren(...progress.agents.map(agentRow));
    byId("progress").hidden = !progress.agents.length;
    byId("run-rows").replaceChildren(...runs.items.map((run) => this.runRow(run)));
    byId("no-runs").hidden = runs.items.length > 0;
    byId("runs-table").hidden = !runs.items.length;
    byId("more-runs").hidden = !runs.next_cursor;
  }

  runRow(run) {
    const from = run.started_at || run.due_at || run.created_at;
    const open = run.status === "running" || run.status === "scheduled";
    const until = run.finished_at ? Date.parse(run.finished_at) : Date.now();
    return element("tr", { "data-run": run.id, "data-status": run.status },
      element("td", {}, status(run.status)), element("td", {}, run.agent_name),
      element("td", {}, run.kind === "manual" ? `by ${run.requested_by}` : "by schedule"),
      element("td", {}, element("time", { title: formatMoment(Date.parse(from)) }, formatLocal(from))),
      element("td", { class: "number" }, run.started_at ? formatSeconds((until - Date.parse(run.started_at)) / 1000) : "–"),
      element("td", { class: "number" }, String(run.executions)),
      element("td", { class: "number" }, String(run.failures)),
      element("td", { class: "wide" }, run.error),
      element("td", { class: "actions" }, this.mayChange && open && !run.stop_requested && run.kind === "manual"
        ? element("button", { class: "quiet small", type: "button", onclick: () => this.stop(run) }, "Stop") : null));
  }

  async stop(run) {
    await api.post(`/runs/${run.id}/stop`).catch((problem) => alert(problem.message));
    await this.load();
  }
}

function status(name) {
  const [icon, look] = STATES[name];
  return element("span", { class: `state ${look}` }, element("span", { "aria-hidden": "true" }, icon), name);
}

function agentRow(one) {
  const { last, run } = one;
  const why = [one.explicit && "by hand", one.selected && "by selector"].filter(Boolean).join(", ");
  const done = run ? `${run.executions}${one.executions_expected === null ? "" : ` of ${one.executions_expected}`}` : "–";
  return element("tr", { "data-agent": one.agent_name },
    element("td", {}, one.agent_name, element("span", { class: "sub" }, why)),
    element("td", {}, one.taken ? "newest" : "waits for its next poll", element("span", { class: "sub" }, `agent ${one.state}`)),
    element("td", {}, run ? status(run.status) : "–"), element("td", { class: "number" }, done),
    element("td", { class: "value" }, last ? formatValue(last.value, last.unit) : "–"),
    element("td", { class: "wide" }, last ? element("span", { class: `state ${last.up ? "up" : "down"}` }, last.up ? "✓ up" : "✕ down") : "no result yet",
      last?.error ? element("span", { class: "sub" }, `${last.error.replaceAll("_", " ")}: ${last.error_detail}`) : null),
    element("td", {}, last ? element("time", { title: formatMoment(Date.parse(last.time)) }, formatAge(Date.parse(last.time))) : ""));
}
