// On a phone a row is a card (style.css): its cells bear the names of their columns, and those that say nothing are left out.

const NOTHING = new Set(["", "–"]);

function describe(row) {
  const heads = row.closest("table")?.tHead?.rows[0]?.cells;
  if (!heads || row.parentElement.tagName !== "TBODY") return;
  for (const [place, cell] of [...row.cells].entries()) {
    const name = heads[place]?.textContent.trim();
    if (name) cell.dataset.column = name;
    cell.classList.toggle("void", NOTHING.has(cell.textContent.trim()) && !cell.querySelector("svg, input"));
  }
}

new MutationObserver((changes) => {
  for (const added of changes.flatMap((change) => [...change.addedNodes])) {
    if (added instanceof HTMLTableRowElement) describe(added);
    else if (added instanceof HTMLElement) added.querySelectorAll("tr").forEach(describe);
  }
}).observe(document.querySelector("main"), { childList: true, subtree: true });
