"use strict";
// Sorts and filters the table of tenants. Text is only ever read and compared; nothing is made out of it.
(() => {
  const table = document.getElementById("tenants");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const form = document.getElementById("find");
  const words = document.getElementById("words");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const states = ["f", "p", "n", "c", "u"];
  let texts = null;

  const show = () => {
    texts = texts || rows.map((row) => row.textContent.toLowerCase());
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, at) => {
      const fits = (!state.value || row.className === state.value) && wanted.every((word) => texts[at].includes(word));
      row.hidden = !fits;
      count += fits ? 1 : 0;
    });
    shown.textContent = `${count} of ${rows.length} shown`;
  };

  const value = (row, column) =>
    column === 1 ? String(states.indexOf(row.className)) : row.cells[column].textContent;

  const sort = (head) => {
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [value(row, column), row]);
    // What is empty comes last, whichever way.
    keyed.sort(([a], [b]) => (a === b ? 0 : a === "" ? 1 : b === "" ? -1 : (a < b ? -1 : 1) * (down ? -1 : 1)));
    const sorted = document.createDocumentFragment();
    for (const [, row] of keyed) sorted.appendChild(row);
    body.appendChild(sorted);
  };

  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head));
    head.replaceChildren(button);
  }
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", () => {
      words.value = link.dataset.find;
      state.value = "";
      show();
    });
  }
  let waiting = 0;
  words.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 150);
  });
  state.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
