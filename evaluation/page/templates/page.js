"use strict";
// What the page gains by a script: tables that sort and filter, and folded parts that are open on paper.
// Without it everything can be read. Cells of number columns carry their number in data-sort, empty for "–".

const FILTERED_ROWS = 8;
const words = new Intl.Collator("en", { numeric: true });

function compare(first, second, column, isNumber, direction) {
  const [a, b] = [first, second].map((row) => row.cells[column]);
  if (!isNumber) {
    return direction * words.compare(a.textContent.trim(), b.textContent.trim());
  }
  if (a.dataset.sort === "" || b.dataset.sort === "") {
    // What has no number comes last in either direction.
    return (a.dataset.sort === "") - (b.dataset.sort === "");
  }
  const [x, y] = [Number(a.dataset.sort), Number(b.dataset.sort)];
  return direction * ((x > y) - (x < y));
}

// Ascending, descending, and back to the order of the page.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function sortable(table, rows) {
  const headers = Array.from(table.tHead.rows[0].cells);
  headers.forEach((header, column) => {
    // No <button>: browsers leave it out where they repeat the header of a table on the next printed page.
    const button = document.createElement("span");
    button.tabIndex = 0;
    button.setAttribute("role", "button");
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        button.click();
      }
    });
    button.addEventListener("click", () => {
      const order = NEXT[header.getAttribute("aria-sort")];
      headers.forEach((other) => other.setAttribute("aria-sort", "none"));
      header.setAttribute("aria-sort", order);
      const sorted = Array.from(rows);
      if (order !== "none") {
        const direction = order === "ascending" ? 1 : -1;
        sorted.sort((a, b) => compare(a, b, column, header.classList.contains("n"), direction));
      }
      table.tBodies[0].append(...sorted);
    });
  });
}

// Names hold "-" where numbers have a real minus sign; a reader types the same key for both.
const plain = (text) => text.toLowerCase().replaceAll("−", "-");

function filterable(table, rows) {
  const texts = rows.map((row) => plain(Array.from(row.cells, (cell) => cell.textContent.trim()).join(" ")));
  const label = document.createElement("label");
  const input = document.createElement("input");
  const shown = document.createElement("output");
  const count = (number) => number.toLocaleString("en");
  const apply = () => {
    const wanted = plain(input.value.trim());
    let matching = 0;
    rows.forEach((row, place) => {
      row.hidden = !texts[place].includes(wanted);
      matching += !row.hidden;
    });
    shown.textContent = `${count(matching)} of ${count(rows.length)} rows`;
  };
  input.type = "search";
  input.addEventListener("input", apply);
  label.append("Filter", input);
  const line = document.createElement("p");
  line.className = "filter";
  line.append(label, shown);
  table.closest(".scroll").before(line);
  apply();
}

for (const table of document.querySelectorAll("table")) {
  const rows = Array.from(table.tBodies[0].rows);
  if (rows.length > 1) {
    sortable(table, rows);
  }
  if (rows.length > FILTERED_ROWS) {
    filterable(table, rows);
  }
}

let closed = [];
addEventListener("beforeprint", () => {
  closed = Array.from(document.querySelectorAll("details:not([open])"));
  closed.forEach((part) => { part.open = true; });
});
addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));
