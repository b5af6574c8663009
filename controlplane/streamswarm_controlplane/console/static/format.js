// Values travel in base units; people read them in others.

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const SCALES = [["", 1], ["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]];

const SYMBOLS = { "per second": "/s", "degrees Celsius": " °C", watts: " W", volts: " V", "decibels above one milliwatt": " dBm",
  decibels: " dB", "revolutions per minute": " rpm", degrees: "°" };

function digits(value) {
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function formatValue(value, unit) {
  if (value === null || value === undefined) return "–";
  switch (unit) {
    case "seconds": return formatSeconds(value);
    case "ratio 0..1": return `${percent(value * 100)} %`;
    case "score 0..1": return value.toFixed(2);
    case "bytes": return scaled(value, "B");
    case "bytes per second": return scaled(value, "B/s");
    case "bytes per second of a link": return scaled(value * 8, "bit/s");
    case "bits per second": return scaled(value, "bit/s");
    case "hertz": return scaled(value, "Hz");
    case "metres": return scaled(value, "m");
    default: return `${Number.isInteger(value) ? String(value) : digits(value)}${SYMBOLS[unit] || ""}`;
  }
}

// One lost packet of 10,000 is no 0.0 %, and all but one are no 100.0 %.
function percent(value) {
  if (value > 0 && value < 0.05) return String(+value.toPrecision(1));
  if (value >= 99.95 && value < 100) return String(Math.min(99.999, Math.floor(value * 1000) / 1000));
  return value.toFixed(1);
}

export function formatSeconds(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return "0 ms";
  if (size < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (size < 1) return `${digits(seconds * 1e3)} ms`;
  if (size < 120) return `${digits(seconds)} s`;
  if (size < 7200) return `${digits(seconds / 60)} min`;
  return size < 172800 ? `${digits(seconds / 3600)} h` : `${digits(seconds / 86400)} days`;
}

// A length that somebody chose, so without digits that nobody meant: "30 s", "1.5 h".
export function formatLength(seconds) {
  for (const [size, unit] of [[86400, "days"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size || (seconds >= size && seconds % size === 0 && unit !== "days")) return `${+(seconds / size).toFixed(2)} ${unit}`;
  }
  return `${+seconds.toFixed(3)} s`;
}

function scaled(value, symbol) {
  const [prefix, factor] = SCALES.findLast(([, step]) => Math.abs(value) >= step) || SCALES[0];
  return `${digits(value / factor)} ${prefix}${symbol}`;
}

export function formatAge(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} days ago`;
}

export function formatMoment(time) {
  const moment = new Date(time);
  return `${moment.toISOString().replace("T", " ").slice(0, 19)} UTC\n${formatLocal(time, "medium")} local`;
}

// To the minute, as people plan; where something happened, to the second ("medium").
export function formatLocal(time, timeStyle = "short") {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle });
}
