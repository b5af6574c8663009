// Builds elements. Text goes in as text, never as markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A button that is disabled until it does something: a click that comes before is not lost unseen.
export function ready(id, act) {
  const button = document.getElementById(id);
  if (!button) return;
  button.onclick = act;
  button.disabled = false;
}

// What a form does when it is sent; once at a time, as a second click would do it again.
export function onSubmit(form, send) {
  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    try {
      await send();
    } finally {
      sending = false;
    }
  });
}

// Puts new rows in place of the old ones; whoever is at one of them with the keyboard stays there.
export function refill(body, rows) {
  const places = (row) => [...row.querySelectorAll("a[href], button, input, select, summary")];
  const old = document.activeElement?.closest("tr");
  const held = old?.parentElement === body ? [JSON.stringify(old.dataset), places(old).indexOf(document.activeElement)] : null;
  body.replaceChildren(...rows);
  if (!held) return;
  const { state: _, raw: __, ...key } = JSON.parse(held[0]);
  const same = rows.find((row) => Object.entries(key).every(([name, value]) => row.dataset[name] === value));
  if (same) places(same)[held[1]]?.focus({ preventScroll: true });
}

// Copies; without the clipboard, which browsers give to pages of https and of this machine only, by a selection.
export async function copied(text, button) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else {
    const area = element("textarea", { readonly: true, class: "unseen" }, text);
    button.after(area); // in the same dialog, as nothing else can have the focus
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    button.focus();
    if (!done) { button.textContent = "Select it, and copy it by hand"; return; }
  }
  button.textContent = "Copied";
}

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A line over the last 30 minutes. A window without data is a gap, not a zero and not a straight line.
export function sparkline(windows, label, now = Date.now()) {
  const [width, height, pad, span] = [144, 30, 3, 30 * 60 * 1000];
  const picture = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  picture.append(svg("path", { class: "base", d: `M0 ${height - 1}H${width}` }));
  const values = windows.map(([, value]) => value).filter((value) => value !== null);
  if (!values.length) return picture;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (time) => width - ((now - time) / span) * width;
  const y = (value) => (high === low ? height / 2 : height - pad - ((value - low) / (high - low)) * (height - 2 * pad));
  let path = "";
  let previous = null;
  for (const [time, value] of windows) {
    if (value === null) { previous = null; continue; }
    const gap = previous === null || time - previous > 95000;
    path += gap ? `M${x(time).toFixed(1)} ${y(value).toFixed(1)}h.01` : `L${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    previous = time;
  }
  picture.append(svg("path", { d: path }));
  return picture;
}
