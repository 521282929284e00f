"use strict";

// Colours: as the system, light, dark.
(function () {
  const button = document.getElementById("theme");
  const names = { auto: "Auto", light: "Light", dark: "Dark" };
  let now = "auto";
  try { now = localStorage.getItem("empathy-geometry-theme") || "auto"; } catch (error) { /* a page without storage */ }
  function show() {
    if (!(now in names)) now = "auto";
    if (now === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    button.textContent = names[now];
    button.setAttribute("aria-label", "Colours: " + (now === "auto" ? "as the system" : now));
  }
  button.addEventListener("click", function () {
    const order = Object.keys(names);
    now = order[(order.indexOf(now) + 1) % order.length];
    try { localStorage.setItem("empathy-geometry-theme", now); } catch (error) { /* a page without storage */ }
    show();
  });
  show();
})();

// Tables: numbers by size (the first number of a cell), all else by name; empty cells last.
document.querySelectorAll("table.sortable").forEach(function (table) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const original = Array.from(body.rows);
  function key(row, column) {
    const text = row.cells[column].textContent.trim();
    const number = /^(?:>=|<=)?\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w.])/i.exec(text);
    return { text: text, number: number ? parseFloat(number[0].replace(/^[<>]=\s*/, "")) : null, empty: text === "" || text === "-" };
  }
  heads.forEach(function (head, column) {
    head.querySelector("button").addEventListener("click", function () {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      heads.forEach(function (other) { other.setAttribute("aria-sort", "none"); });
      head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const rows = next === "none" ? original : original
        .map(function (row, i) { return { row: row, key: key(row, column), i: i }; })
        .sort(function (a, b) {
          if (a.key.empty !== b.key.empty) return a.key.empty ? 1 : -1;
          const numbers = a.key.number !== null && b.key.number !== null;
          if (numbers && a.key.number !== b.key.number) return sign * (a.key.number - b.key.number);
          if (!numbers && (a.key.number === null) !== (b.key.number === null)) return a.key.number === null ? 1 : -1;
          return (numbers ? 0 : sign * a.key.text.localeCompare(b.key.text)) || a.i - b.i;
        })
        .map(function (entry) { return entry.row; });
      body.append(...rows);
    });
  });
});

// Steering explorer: what was written at each alpha, never made up between two.
document.querySelectorAll(".explorer").forEach(function (box) {
  const at = {};
  box.querySelectorAll("[data-role]").forEach(function (node) { at[node.dataset.role] = node; });
  const sweeps = JSON.parse(at.data.textContent);
  let sweep = sweeps[0];

  function options(select, names) {
    select.replaceChildren(...names.map(function (name, i) {
      const option = document.createElement("option");
      option.value = String(i);
      option.textContent = name;
      return option;
    }));
  }
  function zero() {
    return sweep.alphas.reduce(function (best, a, i) { return Math.abs(a) < Math.abs(sweep.alphas[best]) ? i : best; }, 0);
  }
  function coherence(a, p) {
    return Math.min(...Object.values(sweep.parts).map(function (part) { return part[a][p]; }));
  }
  function signed(value, digits) { return (value > 0 ? "+" : "") + value.toFixed(digits); }

  function score(name, value, low) {
    const block = document.createElement("div");
    if (low) block.className = "low";
    const term = document.createElement("dt");
    term.textContent = name;
    const text = document.createElement("dd");
    text.textContent = value === null ? "-" : value.toFixed(2);
    const track = document.createElement("span");
    track.className = "track";
    const fill = document.createElement("span");
    fill.style.width = 100 * Math.max(0, Math.min(1, value)) + "%";
    track.append(fill);
    block.append(term, track, text);
    return block;
  }
  function bars(p) {
    const last = Math.max(1, sweep.alphas.length - 1);
    const line = document.createElement("b");
    line.style.bottom = 100 * sweep.threshold + "%";
    at.bars.replaceChildren(line, ...sweep.alphas.map(function (_, a) {
      const bar = document.createElement("i");
      const height = coherence(a, p);
      bar.style.left = 100 * a / last + "%";
      bar.style.height = 100 * height + "%";
      if (height < sweep.threshold) bar.classList.add("broken");
      return bar;
    }));
  }
  function show() {
    const a = Number(at.alpha.value), p = Number(at.prompt.value), value = coherence(a, p);
    const alpha = signed(sweep.alphas[a], 2) + " " + sweep.units;
    at.asked.textContent = sweep.prompts[p];
    at.unsteered.textContent = sweep.texts[zero()][p];
    at.steered.textContent = sweep.texts[a][p] || "(nothing)";
    at["steered-title"].textContent = "Steered, alpha " + alpha;
    at.at.textContent = alpha;
    at.alpha.setAttribute("aria-valuetext", "alpha " + alpha + ", coherence " + value.toFixed(2));
    const broken = value < sweep.threshold;
    const concept = document.createElement("div");
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = "concept score (class gaps above unsteered)";
    text.textContent = signed(sweep.concept[a][p], 2);
    concept.append(term, text);
    at.scores.replaceChildren(
      score("coherence (smallest part)", value, broken),
      ...Object.entries(sweep.parts).map(function (entry) { return score(entry[0], entry[1][a][p], false); }),
      concept
    );
    Array.from(at.bars.querySelectorAll("i")).forEach(function (bar, i) { bar.classList.toggle("here", i === a); });
  }
  function choose() {
    sweep = sweeps[Number(at.sweep.value)];
    const before = at.prompt.value;
    options(at.prompt, sweep.prompts.map(function (text, i) {
      const line = text.replace(/\s+/g, " ").trim();
      return (i + 1) + ". " + (line.length > 90 ? line.slice(0, 88) + "..." : line);
    }));
    if (before && Number(before) < sweep.prompts.length) at.prompt.value = before;
    at.alpha.max = String(sweep.alphas.length - 1);
    at.alpha.value = String(zero());
    bars(Number(at.prompt.value));
    show();
  }
  options(at.sweep, sweeps.map(function (s) { return s.name; }));
  at.sweep.addEventListener("change", choose);
  at.prompt.addEventListener("change", function () { bars(Number(at.prompt.value)); show(); });
  at.alpha.addEventListener("input", show);
  choose();
});

// On paper nothing stays folded.
window.addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (fold) { fold.open = true; });
});
