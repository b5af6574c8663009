// The form that adds and edits a test: what, when, where, and when it is bad.

import { api, showProblem } from "./api.js";
import { element } from "./dom.js";
import { chosenOptions, optionFields } from "./options.js";
import { ScheduleEditor } from "./schedule.js";
import { readThresholds, thresholdLine } from "./thresholds.js";

const byId = (id) => document.getElementById(id);
const FEW = 10;

function describe(agent) {
  return [agent.name, agent.site, ...Object.entries(agent.labels).map(([name, value]) => `${name}=${value}`)].join("\n").toLowerCase();
}

export class TestForm {
  constructor(form, saved) {
    this.form = form;
    this.saved = saved;
    this.test = null;
    this.etag = "";
    this.known = { probes: [], agents: [], assignments: [] };
    this.schedule = new ScheduleEditor(form, byId("schedule-preview"));
    this.asked = 0;
    form.probe.addEventListener("change", () => this.drawProbe({}, []));
    byId("add-threshold").addEventListener("click", () => byId("thresholds").append(thresholdLine(this.probe())));
    this.field("selector").addEventListener("input", () => this.previewSelector());
    byId("agents").addEventListener("change", () => this.countAgents());
    byId("agent-search").addEventListener("input", () => this.filterAgents());
    byId("agent-search").addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    byId("agents-all").addEventListener("click", () => this.tickAgents(true));
    byId("agents-none").addEventListener("click", () => this.tickAgents(false));
    form.addEventListener("reset", () => this.close());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
  }

  field(name) {
    return this.form.elements.namedItem(name);
  }

  probe() {
    return this.known.probes.find((probe) => probe.name === this.form.probe.value);
  }

  // What is shown is read anew: the list may be hours old, and a change has to say what it is a change of.
  async edit(known, { id }) {
    const [{ body, etag }, assignments] = await Promise.all([api.read(`/tests/${id}`), api.all(`/assignments?test_id=${id}`)]);
    this.etag = etag;
    this.open({ ...known, assignments }, body);
  }

  open(known, test = null) {
    this.known = known;
    this.test = test;
    const { agents, probes, assignments } = known;
    byId("form-title").textContent = test ? `Edit ${test.name}` : "Add a test";
    byId("submit").textContent = test ? "Save" : "Add";
    const sorted = [...probes].sort((one, other) => one.title.localeCompare(other.title));
    this.form.probe.replaceChildren(...sorted.map((probe) => element("option", { value: probe.name }, probe.title)));
    this.form.probe.value = test?.probe || "icmp";
    this.form.probe.disabled = Boolean(test);
    for (const name of ["name", "target", "selector"]) this.field(name).value = test?.[name] || "";
    this.field("interval").value = test?.interval ?? 30;
    this.field("timeout").value = test?.timeout ?? "";
    this.field("objective-target").value = test?.objective ? +(test.objective.target * 100).toFixed(6) : "";
    this.field("objective-days").value = test?.objective?.days ?? "";
    const mine = new Set(assignments.filter((one) => one.test_id === test?.id && one.explicit).map((one) => one.agent_id));
    const living = agents.filter((agent) => agent.state !== "revoked");
    byId("agents").replaceChildren(...living.map((agent) => element("label", { "data-find": describe(agent) },
      element("input", { type: "checkbox", name: "agent", value: agent.id,
        checked: test ? mine.has(agent.id) : living.length === 1 }), ` ${agent.name}`)));
    byId("no-agents").hidden = living.length > 0;
    byId("agent-tools").hidden = living.length < FEW;
    byId("agent-search").value = "";
    this.filterAgents();
    this.schedule.write(test?.schedule);
    this.drawProbe(test?.params || {}, test?.thresholds || []);
    this.previewSelector();
    showProblem(null);
    this.form.hidden = false;
    this.form.scrollIntoView({ block: "start" });
    this.field("name").focus({ preventScroll: true });
  }

  close() {
    this.form.hidden = true;
    showProblem(null);
  }

  drawProbe(params, thresholds) {
    const probe = this.probe();
    byId("probe-help").textContent = probe.help;
    byId("target-label").hidden = !probe.has_target;
    this.field("target").required = probe.has_target;
    this.field("target").placeholder = probe.example_target;
    this.field("timeout").placeholder = probe.timeout;
    byId("options").replaceChildren(...optionFields(probe.params, params));
    byId("thresholds").replaceChildren(...thresholds.map((one) => thresholdLine(probe, one)));
  }

  async previewSelector() {
    const place = byId("selector-preview");
    const asked = ++this.asked;
    const selector = this.field("selector").value.trim();
    if (!selector) { place.textContent = ""; return; }
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    if (asked !== this.asked) return;
    let text;
    try {
      const found = await api.post("/selectors/preview", { selector });
      const names = found.agents.slice(0, 8).map((agent) => agent.name).join(", ");
      text = found.count ? `Matches ${found.count} of ${this.known.agents.length} agents: ${names}${found.count > 8 ? " …" : ""}`
        : "Matches no agent yet.";
    } catch (problem) {
      text = problem.message.replace(/^selector: /, "");
    }
    if (asked === this.asked) place.textContent = text;
  }

  read() {
    const target = this.field("objective-target").value;
    const days = this.field("objective-days").value;
    return {
      name: this.field("name").value,
      target: this.probe().has_target ? this.field("target").value : "",
      interval: Number(this.field("interval").value),
      ...(this.field("timeout").value && { timeout: Number(this.field("timeout").value) }),
      params: chosenOptions(byId("options")),
      schedule: this.schedule.read(),
      selector: this.field("selector").value,
      thresholds: readThresholds(byId("thresholds")),
      objective: target === "" ? null : { target: Number(target) / 100, ...(days && { days: Number(days) }) },
    };
  }

  async save() {
    showProblem(null);
    const button = byId("submit");
    button.disabled = true;
    try {
      const chosen = [...this.form.querySelectorAll("[name=agent]:checked")].map((box) => box.value);
      const body = this.read();
      let made;
      if (this.test) {
        made = (await api.change(`/tests/${this.test.id}`, { ...body, ...await this.wanted(chosen) }, this.etag)).body;
      } else {
        made = await api.post("/tests", { ...body, probe: this.form.probe.value, agent_ids: chosen });
      }
      this.close();
      await this.saved(made);
    } catch (problem) {
      showProblem(problem);
      byId("problem").scrollIntoView({ block: "nearest" });
    } finally {
      button.disabled = false;
    }
  }

  // All agents that are to have it by hand; one that somebody else has added meanwhile keeps the test.
  async wanted(chosen) {
    const ids = (rows) => rows.filter((one) => one.test_id === this.test.id && one.explicit).map((one) => one.agent_id);
    const [before, present] = [ids(this.known.assignments), ids(await api.all(`/assignments?test_id=${this.test.id}`))];
    const same = chosen.length === before.length && before.every((id) => chosen.includes(id));
    return same ? {} : { agent_ids: [...new Set([...chosen, ...present.filter((id) => !before.includes(id))])] };
  }

  // With hundreds of agents nobody finds one by looking, or ticks them one by one.
  filterAgents() {
    const words = byId("agent-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const label of byId("agents").children) label.hidden = !words.every((word) => label.dataset.find.includes(word));
    this.countAgents();
  }

  countAgents() {
    const boxes = [...byId("agents").querySelectorAll("input")];
    const chosen = boxes.filter((box) => box.checked).length;
    byId("agent-count").textContent = `${chosen} of ${boxes.length} chosen`;
  }

  tickAgents(on) {
    for (const label of byId("agents").children) if (!label.hidden) label.querySelector("input").checked = on;
    this.countAgents();
  }
}
