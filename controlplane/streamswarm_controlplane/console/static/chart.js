// A chart of several series over time, as SVG. A window without data is a gap; what is under the pointer is in the legend.

import { element } from "./dom.js";
import { formatLocal, formatValue } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [280, 64, 12, 10, 26];
const MINUTE = 60e3;
const TIME_STEPS = [5e3, 10e3, 30e3, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE,
  120 * MINUTE, 180 * MINUTE, 360 * MINUTE, 720 * MINUTE, 1440 * MINUTE, 2880 * MINUTE, 10080 * MINUTE, 43200 * MINUTE];

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// series: [{label, points: [[milliseconds, value or null], …]}]; every: milliseconds between points, for gaps.
export function chart(place, legend, { series, start, stop, unit, every, label }) {
  const width = Math.max(320, place.clientWidth);
  const shown = series.map((one) => one.points.filter(([, value]) => value !== null).map(([, value]) => value)).flat();
  const { low, high, ticks } = scale(shown, unit);
  const x = (time) => LEFT + ((time - start) / (stop - start)) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label });
  for (const tick of ticks) {
    picture.append(svg("path", { class: "grid", d: `M${LEFT} ${y(tick).toFixed(1)}H${width - RIGHT}` }),
      svg("text", { class: "axis", x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, formatValue(tick, unit)));
  }
  for (const [time, text] of timeTicks(start, stop, width)) {
    picture.append(svg("path", { class: "grid", d: `M${x(time).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}` }),
      svg("text", { class: "axis", x: x(time), y: HEIGHT - 8, "text-anchor": "middle" }, text));
  }
  series.forEach((one, index) => {
    picture.append(svg("path", { class: `line s${index % 8}`, d: line(one.points, x, y, every) }));
  });
  const guide = svg("path", { class: "guide", d: "" });
  picture.append(guide);
  place.replaceChildren(picture);
  tell(legend, series, unit, null, every);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const time = start + (((event.clientX - box.left) / box.width) * width - LEFT) / (width - LEFT - RIGHT) * (stop - start);
    const nearest = nearestTime(series, Math.min(stop, Math.max(start, time)));
    if (nearest === null) return;
    guide.setAttribute("d", `M${x(nearest).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`);
    tell(legend, series, unit, nearest, every);
  });
  picture.addEventListener("pointerleave", () => { guide.setAttribute("d", ""); tell(legend, series, unit, null, every); });
}

function scale(values, unit) {
  if (!values.length) return { low: 0, high: 1, ticks: [] };
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > 0 && (high - low) > 0.25 * high) low = 0;
  if (high === low) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  const step = niceStep((high - low) / 4);
  const ticks = [];
  for (let index = Math.floor(low / step); index * step < high + step; index += 1) ticks.push(index * step);
  const top = unit === "ratio 0..1" || unit === "0 or 1" ? Math.min(ticks.at(-1), Math.max(high, 1)) : ticks.at(-1);
  return { low: ticks[0], high: top, ticks: ticks.filter((tick) => tick <= top * (1 + 1e-9)) };
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 2.5, 5, 10].find((one) => one * power >= rough * 0.999);
}

function timeTicks(start, stop, width) {
  const most = Math.max(2, Math.floor(width / 110));
  const step = TIME_STEPS.find((one) => (stop - start) / one <= most) || TIME_STEPS.at(-1);
  const shift = new Date(start).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let time = Math.ceil((start - shift) / step) * step + shift; time < stop; time += step) {
    if (time - start < (stop - start) * 0.02 || stop - time < (stop - start) * 0.03) continue;
    ticks.push([time, timeText(time, step, stop - start)]);
  }
  return ticks;
}

function timeText(time, step, span) {
  const moment = new Date(time);
  const day = { day: "numeric", month: "short" };
  const clock = { hour: "2-digit", minute: "2-digit", ...(step < MINUTE && { second: "2-digit" }) };
  if (step >= 1440 * MINUTE) return moment.toLocaleDateString(undefined, day);
  const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
  return midnight && span > 720 * MINUTE ? moment.toLocaleDateString(undefined, day) : moment.toLocaleTimeString(undefined, clock);
}

function line(points, x, y, every) {
  let path = "";
  let previous = null;
  for (const [time, value] of points) {
    if (value === null) { previous = null; continue; }
    const gap = previous === null || time - previous > 1.5 * every;
    path += gap ? `M${x(time).toFixed(1)} ${y(value).toFixed(1)}h.01` : `L${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    previous = time;
  }
  return path;
}

function nearestTime(series, time) {
  let best = null;
  for (const one of series) {
    for (const [at] of one.points) if (best === null || Math.abs(at - time) < Math.abs(best - time)) best = at;
  }
  return best;
}

function tell(legend, series, unit, time, every) {
  legend.replaceChildren(...series.map((one, index) => {
    const values = one.points.filter(([, value]) => value !== null);
    const found = time === null ? values.at(-1) : one.points.find(([at]) => Math.abs(at - time) < every / 2);
    return element("span", { class: "key" }, element("i", { class: `swatch s${index % 8}` }), one.label, " ",
      element("b", {}, found && found[1] !== null ? formatValue(found[1], unit) : "no data"));
  }), element("span", { class: "muted when" }, time === null ? "newest" : formatLocal(time, "medium")));
}
