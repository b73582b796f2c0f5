"use strict";
// Draws the bars of the time that is looked at, again with each zoom: what is too small is drawn with its neighbours.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chart = document.getElementById("chart");
  const plot = document.getElementById("plot");
  const said = document.getElementById("said");
  const SVG = "http://www.w3.org/2000/svg";
  const LETTER = 6.6;
  const SHARPEST = 1e-5;
  const [START, TOOK, CSS, NAME, TOLD, ATTEMPT, WAITED, CRITICAL, CONTROL] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const whole = data.seconds || 1;
  const wide = data.right - data.left;
  const bottom = data.height - 6;
  const top = data.load + 22;
  const first = [...plot.childNodes];
  let from = 0;
  let until = whole;
  let wanted = "";

  // The longest bar of each row tells how far before the window one may begin that reaches into it.
  for (const row of data.rows) row.longest = row.bars.reduce((most, bar) => Math.max(most, bar[TOOK]), 0);

  const at = (time) => data.left + ((time - from) / (until - from)) * wide;
  const clip = (x) => Math.min(data.right, Math.max(data.left, x));

  function add(parent, kind, attributes, text) {
    const made = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function clock(time, step) {
    if (step < 15) return `${time.toFixed(step < 1 ? Math.min(5, Math.ceil(-Math.log10(step))) : 0)} s`;
    const rest = Math.round(time);
    const two = (amount) => String(amount).padStart(2, "0");
    const hours = Math.floor(rest / 3600);
    const minutes = Math.floor(rest / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(rest % 60)}` : `${minutes}:${two(rest % 60)}`;
  }

  function stepFor(least) {
    if (least >= 10) {
      const steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
      return steps.find((step) => step >= least) || 86400;
    }
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= least * 0.999);
  }

  function lowerBound(bars, time) {
    let low = 0;
    let high = bars.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bars[middle][START] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function note(bar) {
    const facts = [`${bar[TOOK].toFixed(3)} s from ${bar[START].toFixed(3)} s`];
    if (bar[ATTEMPT] > 1) facts.push(`attempt ${bar[ATTEMPT]}`);
    if (bar[WAITED] > 0.0005) facts.push(`had waited ${bar[WAITED].toFixed(3)} s`);
    if (bar[CRITICAL]) facts.push("on the critical path");
    return `${bar[NAME]}\n${bar[TOLD]}\n${facts.join(", ")}`;
  }

  const isBad = (bar) => bar[CSS].startsWith("bad");
  const isWanted = (bar) => wanted !== "" && bar[NAME].toLowerCase().includes(wanted);

  function drawPiece(group, bars, x, end, y, room) {
    const worst = bars.find(isWanted) || bars.find(isBad) || bars[0];
    const width = Math.max(1.4, end - x - 0.4);
    const height = data.row - (data.row > 12 ? 4 : 2);
    const dim = wanted && !bars.some(isWanted) ? " dim" : "";
    const piece = add(group, "g", {});
    const bad = bars.filter(isBad).length;
    const several = `${bars.length} bars from ${bars[0][START].toFixed(3)} s${bad ? `, ${bad} of them failed` : ""}`;
    add(piece, "title", {}, bars.length === 1 ? note(worst) : several);
    const shape = { class: worst[CSS] + dim, x, y: y + 1, width, height };
    if (width > 14 && height > 8) shape.rx = 3;
    add(piece, "rect", shape);
    if (bars.length > 1 || data.row <= 12 || dim) return;
    const inside = Math.floor((width - 8) / LETTER);
    const beside = worst[NAME].length > inside && worst[NAME].length * LETTER + 10 + width < room;
    if (!beside && inside < 4) return;
    const name = beside || worst[NAME].length <= inside ? worst[NAME] : `${worst[NAME].slice(0, inside - 1)}…`;
    add(piece, "text", { class: beside ? "name soft" : "name", x: beside ? x + width + 4 : x + 5, y: y + 5 + height / 2 }, name);
  }

  function drawRow(row, y, critical) {
    const group = add(plot, "g", {});
    const start = Math.max(0, lowerBound(row.bars, from - row.longest));
    const shown = [];
    let held = null;
    for (let index = start; index < row.bars.length && row.bars[index][START] <= until; index += 1) {
      const bar = row.bars[index];
      if (bar[START] + bar[TOOK] < from) continue;
      const x = clip(at(bar[START]));
      const end = clip(at(bar[START] + bar[TOOK]));
      if (bar[CRITICAL]) critical.push([x, Math.max(end, x + 1), y + data.row - (data.row > 12 ? 3 : 1.5)]);
      if (end - x >= data.small) {
        if (held) shown.push(held);
        held = null;
        shown.push([[bar], x, end]);
      } else if (held && x - held[2] < 1 && held[2] - held[1] < 8 * data.small) {
        held[0].push(bar);
        held[2] = Math.max(held[2], end);
      } else {
        if (held) shown.push(held);
        held = [[bar], x, end];
      }
    }
    if (held) shown.push(held);
    shown.forEach(([bars, x, end], index) => {
      const next = index + 1 < shown.length ? shown[index + 1][1] : data.right;
      drawPiece(group, bars, x, end, y, next - x);
    });
    return shown;
  }

  function drawLoad() {
    const columns = Math.floor(wide / 2);
    const changes = new Float64Array(columns + 2);
    const change = (time, sign) => {
      const place = Math.min(columns, Math.max(0, ((time - from) / (until - from)) * columns));
      const column = Math.min(columns, Math.floor(place));
      changes[column] += sign * (1 - (place - column));
      changes[column + 1] += sign * (place - column);
    };
    for (const row of data.rows) {
      for (const bar of row.bars) {
        if (bar[CONTROL] || bar[START] > until || bar[START] + bar[TOOK] < from) continue;
        change(bar[START], 1);
        change(bar[START] + bar[TOOK], -1);
      }
    }
    let now = 0;
    const heights = [...changes.slice(0, columns + 1)].map((each) => (now += each));
    const most = Math.max(...heights);
    if (most <= 0) return;
    const course = heights.map((each, column) => `L${data.left + 2 * column} ${(data.load - (each / most) * (data.load - 14)).toFixed(1)}`);
    add(plot, "path", { class: "load", d: `M${data.left} ${data.load}${course.join("")}V${data.load}z` });
    add(plot, "text", { class: "soft", x: data.left, y: 10 }, `up to ${most.toFixed(1)} at once`);
  }

  function draw() {
    if (from === 0 && until === whole && !wanted) {
      plot.replaceChildren(...first);
      return;
    }
    plot.replaceChildren();
    for (const [start, end, reason] of data.pauses) {
      if (end < from || start > until) continue;
      const group = add(plot, "g", {});
      add(group, "title", {}, `${reason}: nobody worked on it for ${(end - start).toFixed(1)} s`);
      add(group, "rect", { class: "pause", x: clip(at(start)), y: 0, width: Math.max(1, clip(at(end)) - clip(at(start))), height: bottom });
    }
    drawLoad();
    const step = stepFor((until - from) / (wide / 90));
    for (let count = Math.ceil(from / step); count * step <= until; count += 1) {
      const x = at(count * step);
      add(plot, "path", { class: "grid", d: `M${x} ${data.load}V${bottom}` });
      add(plot, "text", { class: "soft", x, y: data.load + 14, "text-anchor": "middle" }, clock(count * step, step));
    }
    const critical = [];
    data.rows.forEach((row, index) => {
      const y = top + index * data.row;
      if (row.name) {
        add(plot, "path", { class: "grid", d: `M18 ${y}H${data.right}` });
        add(plot, "text", { class: "soft", x: 18, y: y + data.row / 2 + 4 }, row.name.slice(0, 24));
      }
      drawRow(row, y, critical);
    });
    add(plot, "path", { class: "path", d: critical.map(([x, end, y]) => `M${x} ${y}H${end}`).join("") });
  }

  function look(start, end) {
    const span = Math.min(whole, Math.max(SHARPEST, end - start));
    from = Math.min(Math.max(0, start), whole - span);
    until = from + span;
    draw();
    const all = from === 0 && until === whole;
    said.textContent = all ? "" : `${from.toFixed(3)} s to ${until.toFixed(3)} s`;
  }

  const zoom = (factor, middle = (from + until) / 2) => look(middle - (middle - from) * factor, middle + (until - middle) * factor);
  const move = (share) => look(from + (until - from) * share, until + (until - from) * share);

  function timeOf(event) {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    return from + ((clip(x) - data.left) / wide) * (until - from);
  }

  let begun = null;
  let brush = null;
  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    begun = timeOf(event);
    brush = add(chart, "rect", { class: "brush", x: at(begun), y: 0, width: 0, height: bottom });
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (begun === null) return;
    const x = [at(begun), at(timeOf(event))].sort((one, other) => one - other);
    brush.setAttribute("x", x[0]);
    brush.setAttribute("width", x[1] - x[0]);
  });
  chart.addEventListener("pointerup", (event) => {
    if (begun === null) return;
    const times = [begun, timeOf(event)].sort((one, other) => one - other);
    brush.remove();
    begun = null;
    if (at(times[1]) - at(times[0]) > 4) look(...times);
  });
  chart.addEventListener("dblclick", () => look(0, whole));
  chart.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, timeOf(event));
  }, { passive: false });
  const keys = {
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    0: () => look(0, whole),
    ArrowLeft: () => move(-0.25),
    ArrowRight: () => move(0.25),
  };
  chart.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.getElementById("in").addEventListener("click", () => zoom(0.5));
  document.getElementById("out").addEventListener("click", () => zoom(2));
  document.getElementById("all").addEventListener("click", () => look(0, whole));
  document.getElementById("find").addEventListener("input", (event) => {
    wanted = event.target.value.trim().toLowerCase();
    draw();
    if (!wanted) {
      said.textContent = "";
      return;
    }
    const found = data.rows.reduce((sum, row) => sum + row.bars.filter(isWanted).length, 0);
    said.textContent = `${found} found`;
  });
  document.getElementById("tools").hidden = false;
})();
