// When a test is going: in words, and as a part of the form that edits it.

import { api } from "./api.js";
import { element } from "./dom.js";
import { formatLength, formatLocal, ZONE } from "./format.js";

export function describeSchedule(test) {
  const { schedule, interval } = test;
  const every = `every ${formatLength(interval)}`;
  const length = schedule.duration ? `${every} for ${formatLength(schedule.duration)}` : "one run";
  if (schedule.kind === "cron") return [`cron ${schedule.cron}`, `${schedule.zone}, ${length}`];
  if (schedule.kind === "once") return [formatLocal(schedule.at), `once, ${length}`];
  const bounds = [
    schedule.start && `from ${formatLocal(schedule.start)}`, schedule.until && `until ${formatLocal(schedule.until)}`,
    schedule.duration && `for ${formatLength(schedule.duration)}`,
  ].filter(Boolean);
  return [every, bounds.join(", ")];
}

// For an input of type datetime-local, which knows no zone: the reader's own. It shows seconds where there are some.
export function writeMoment(input, text) {
  const moment = text && new Date(text);
  const local = moment && new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  input.value = local ? local.replace(/:00$/, "") : "";
  input.dataset.given = text || "";
  input.dataset.initial = input.value;
}

// What was not touched stays as it was: the input has no microseconds, and the hour that clocks go back has its times twice.
export function readMoment(input) {
  if (input.value === input.dataset.initial) return input.dataset.given || null;
  return input.value ? new Date(input.value).toISOString() : null;
}

export function fillZones(list) {
  const zones = Intl.supportedValuesOf?.("timeZone") || [];
  list.replaceChildren(...["UTC", ...zones.filter((zone) => zone !== "UTC")].map((value) => element("option", { value })));
}

// The schedule's part of a form: `root` has its fields by name, `preview` says when it would start.
export class ScheduleEditor {
  constructor(form, preview) {
    this.form = form;
    this.preview = preview;
    this.asked = 0;
    fillZones(document.getElementById("zones"));
    for (const place of form.querySelectorAll("[data-zone-name]")) place.textContent = ZONE;
    for (const name of ["kind", "cron", "zone", "at", "start", "until", "duration"]) {
      this.field(name).addEventListener("input", () => this.draw());
    }
  }

  field(name) {
    return this.form.elements.namedItem(`schedule-${name}`);
  }

  write(schedule) {
    this.field("kind").value = schedule?.kind || "interval";
    this.field("cron").value = schedule?.cron || "0 3 * * *";
    this.field("zone").value = schedule?.zone || ZONE;
    for (const name of ["at", "start", "until"]) writeMoment(this.field(name), schedule?.[name]);
    this.field("duration").value = schedule?.duration ?? "";
    this.field("grace").value = schedule?.grace ?? "";
    this.field("recurrence").value = schedule?.recurrence || "";
    this.draw();
  }

  read() {
    const kind = this.field("kind").value;
    const schedule = { kind };
    const put = (name, value) => { if (value !== "" && value !== null) schedule[name] = value; };
    const number = (name) => (this.field(name).value === "" ? "" : Number(this.field(name).value));
    if (kind === "cron") { put("cron", this.field("cron").value.trim()); put("zone", this.field("zone").value.trim()); }
    if (kind === "once") put("at", readMoment(this.field("at")));
    else { put("start", readMoment(this.field("start"))); put("until", readMoment(this.field("until"))); }
    if (kind !== "interval") put("grace", number("grace"));
    put("duration", number("duration"));
    put("recurrence", this.field("recurrence").value);
    return schedule;
  }

  draw() {
    const kind = this.field("kind").value;
    for (const part of this.form.querySelectorAll("[data-kinds]")) part.hidden = !part.dataset.kinds.split(" ").includes(kind);
    this.field("cron").required = kind === "cron";
    this.field("at").required = kind === "once";
    this.show(kind);
  }

  async show(kind) {
    const asked = ++this.asked;
    if (kind === "interval" || (kind === "once" && !this.field("at").value)) { this.preview.textContent = ""; return; }
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    if (asked !== this.asked) return;
    let text;
    try {
      const found = await api.post("/schedules/preview", { schedule: this.read() });
      text = found.starts.length ? `Starts ${found.starts.map((one) => formatLocal(one)).join(" · ")} (your time)` : "Never starts again.";
    } catch (problem) {
      text = problem.message;
    }
    if (asked === this.asked) this.preview.textContent = text;
  }
}
