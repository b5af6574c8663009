import { api } from "./api.js";
import { action, ask, edit, field } from "./dialogs.js";
import { element, ready, refill } from "./dom.js";
import { fillZones } from "./schedule.js";

const search = document.getElementById("search");
const mayChange = document.body.dataset.role !== "viewer";
let sites = [];

async function load() {
  const [listed, unlisted] = await Promise.all([api.all("/sites"), api.all("/sites/unlisted")]);
  sites = [...listed, ...unlisted].sort((one, other) => one.name.localeCompare(other.name));
  draw();
}

function draw() {
  const wanted = search.value.trim().toLowerCase();
  const shown = sites.filter((site) => `${site.name}\n${site.address || ""}\n${site.time_zone || ""}`.toLowerCase().includes(wanted));
  refill(document.getElementById("rows"), shown.map(row));
  document.getElementById("table").hidden = !shown.length;
  const empty = document.getElementById("empty");
  empty.hidden = shown.length > 0;
  empty.textContent = sites.length
    ? "Nothing matches the filter."
    : "No site yet. Add one, or give an agent a site: its name is then listed here, to be given coordinates.";
}

function row(site) {
  return element("tr", { "data-site": site.name },
    element("td", { class: "wide" }, site.name, element("span", { class: "sub" }, site.address || "")),
    element("td", {}, ...place(site)), element("td", {}, site.time_zone || "–"), element("td", {}, ...agents(site)),
    element("td", { class: "actions" }, ...actions(site)));
}

function place(site) {
  if (hasPlace(site)) return [`${degrees(site.latitude, "N", "S")}, ${degrees(site.longitude, "E", "W")}`];
  return [element("span", { class: "state pending" }, element("span", { "aria-hidden": "true" }, "…"), "no coordinates")];
}

function hasPlace(site) {
  return site.latitude !== undefined && site.latitude !== null;
}

function degrees(value, positive, negative) {
  return `${Math.abs(value)}°\u00a0${value < 0 ? negative : positive}`;
}

function agents(site) {
  if (!site.agents) return ["none"];
  const link = element("a", { href: `/agents?q=${encodeURIComponent(site.name)}` }, String(site.agents));
  return site.offline
    ? [link, " ", element("span", { class: "state down" }, element("span", { "aria-hidden": "true" }, "✕"), `${site.offline} offline`)]
    : [link];
}

function actions(site) {
  if (!mayChange) return [];
  if (!site.id) return [action("Add coordinates", () => add(site.name))];
  return [action("Edit", () => change(site)), action("Delete", () => remove(site))];
}

const PAIR = "Degrees, north and east positive, as maps copy them: 52.52, 13.405. Empty: not known.";

function fields(site) {
  return [
    field("Coordinates", { name: "coordinates", value: hasPlace(site) ? `${site.latitude}, ${site.longitude}` : "", placeholder: "52.52, 13.405", autocomplete: "off" }, PAIR),
    field("Time zone", { name: "time_zone", value: site.time_zone || "", maxlength: 64, list: "zones", placeholder: "Europe/Berlin", autocomplete: "off" }, "Its clock, by which its office hours are learned. Empty: the ML service's own."),
    field("Address", { name: "address", value: site.address || "", maxlength: 300, autocomplete: "off" }, "Street and town, or whatever leads there."),
  ];
}

function values(form) {
  const text = form.coordinates.value.trim();
  const found = /^([+-]?\d+(?:\.\d+)?)°?\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)°?$/.exec(text);
  if (text && !found) throw new Error(`“${text}” are no coordinates; write latitude and longitude in degrees, such as 52.52, 13.405.`);
  const [latitude, longitude] = found ? [Number(found[1]), Number(found[2])] : [null, null];
  return { latitude, longitude, time_zone: form.time_zone.value.trim() || null, address: form.address.value };
}

function add(name = "") {
  const named = field("Name", { name: "name", value: name, required: true, maxlength: 63, autocomplete: "off", readonly: Boolean(name) },
    "As agents have it for their site, in the same case. It stays as it is.");
  edit(name ? `Add coordinates of ${name}` : "Add a site", [named, ...fields({})], async (form) => {
    await api.post("/sites", { name: form.namedItem("name").value, ...values(form) });
    await load();
  }, "Add");
  if (name) document.querySelector("dialog [name=coordinates]").focus();
}

async function change({ id }) {
  const { body: site, etag } = await api.read(`/sites/${id}`);
  edit(`Edit ${site.name}`, fields(site), async (form) => {
    await api.patch(`/sites/${id}`, values(form), etag);
    await load();
  });
}

async function remove(site) {
  const stays = site.agents ? " Its agents keep the name as their site, and what they measured stays." : "";
  if (!await ask(`Delete ${site.name} with its coordinates and time zone?${stays}`, "Delete")) return;
  await api.delete(`/sites/${site.id}`);
  await load();
}

fillZones(document.getElementById("zones"));
ready("add", () => add());
search.addEventListener("input", draw);
await load();
setInterval(() => load().catch(() => null), 15000);
