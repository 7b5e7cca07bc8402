// The inspector: one concept with its evidence. Value: see app/pages/inspect.py.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-card");

function heading(value) {
  const head = F.el("div", "fc-card-head");
  const line = F.el("div", "fc-eyebrow");
  F.add(line, F.el("span", `fc-level fc-level-${value.level_index}`, value.level), F.el("span", "fc-id", value.id));
  const name = F.el("input", "fc-label");
  name.id = "concept-label";
  name.value = value.label;
  name.maxLength = 120;
  name.setAttribute("aria-label", "Label of the concept; edit and press Enter to keep it");
  name.title = "Edit the label, Enter keeps it";
  const keep = () => {
    const label = name.value.trim();
    if (label !== value.label) trigger("label_save", { id: value.id, label });
  };
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") name.blur();
    if (event.key === "Escape") { name.value = value.label; name.blur(); }
  });
  name.addEventListener("blur", keep);
  const lever = F.button("fc-primary", value.is_lever ? "✓ lever" : "+ lever", () => trigger("lever_add", { id: value.id }), "Add this concept as a lever");
  lever.id = "add-lever";
  const row = F.add(F.el("div", "fc-card-title"), name, lever);
  F.add(head, line, row);
  if (value.edited) F.add(head, F.el("div", "fc-note", `Your label. Made by the workbench: ${value.original}`));
  return head;
}

function figures(items) {
  const list = F.el("dl", "fc-figures");
  for (const item of items) {
    const cell = F.el("div", "fc-figure");
    F.add(cell, F.el("dt", "", item.name), F.el("dd", "", item.value));
    if (item.note) F.add(cell, F.el("dd", "fc-note", item.note));
    if (item.help) cell.title = item.help;
    list.appendChild(cell);
  }
  return list;
}

// How strongly the latent fires where it does: bars from 0 to its largest value, a tick per quantile.
function distribution(found) {
  if (!found) return null;
  const box = F.el("section", "fc-distribution");
  F.add(box, F.add(F.el("h4", "", found.title || "How strongly it fires"), F.el("span", "fc-note", found.hint)));
  const wide = 320, high = 64, most = Math.max(1, ...found.bars), step = wide / found.bars.length;
  const from = found.smallest ?? 0, reach = found.largest - from; // a latent that is never off has two ends
  const said = found.quantiles.map(([share, value]) => `${Math.round(100 * share)} % ${F.number(value)}`).join(" · ");
  const art = F.svg("svg", { viewBox: `0 0 ${wide} ${high + 6}`, class: "fc-histogram", role: "img", "aria-label": `Histogram of its values: ${said}` });
  found.bars.forEach((count, at) => {
    const tall = (count / most) * high;
    const bar = F.svg("rect", { x: at * step + 0.5, y: high - tall, width: step - 1, height: tall });
    const edge = reach / found.bars.length;
    F.add(bar, F.svg("title")).lastChild.textContent = `${F.number(from + at * edge)} to ${F.number(from + (at + 1) * edge)}: ${count}`;
    art.appendChild(bar);
  });
  art.appendChild(F.svg("line", { x1: 0, x2: wide, y1: high, y2: high, class: "fc-zero" }));
  for (const [share, value] of found.quantiles) {
    const x = reach ? ((value - from) / reach) * wide : 0;
    art.appendChild(F.svg("line", { x1: x, x2: x, y1: high, y2: high + (share === 0.5 ? 6 : 4), class: "fc-tick" }));
  }
  F.add(box, art, F.el("div", "fc-note", `Quantiles: ${said} · ${found.smallest === undefined ? "" : `smallest ${F.number(from)}, `}largest ${F.number(found.largest)}`));
  for (const line of [found.life, found.agreement]) if (line) F.add(box, F.el("div", "fc-note", line));
  return box;
}

function edges(title, hint, items, more) {
  const box = F.el("section", "fc-edges");
  F.add(box, F.add(F.el("h4", "", title), F.el("span", "fc-note", hint)));
  if (!items.length) return F.add(box, F.el("div", "fc-note", "none in this graph"));
  const reach = Math.max(0.5, ...items.flatMap((e) => [Math.abs(e.low ?? 0), Math.abs(e.high ?? 0), e.null95 ?? 0]).filter(Number.isFinite));
  for (const edge of items) {
    const row = F.button(`fc-edge is-${edge.verdict}`, "", () => trigger("concept_open", { id: edge.id }), `${edge.label}: ${edge.verdict}, effect ${F.number(edge.effect)}`);
    row.dataset.concept = edge.id;
    const numbers = Number.isFinite(edge.effect) && edge.effect !== null
      ? `${F.signed(edge.effect)} [${F.number(edge.low, 2)}, ${F.number(edge.high, 2)}]`
      : edge.said || "not tested";
    F.add(row, F.el("span", "fc-edge-label", edge.label), F.interval(edge, reach),
      F.el("span", "fc-edge-numbers", numbers), F.el("span", `fc-verdict is-${edge.verdict}`, edge.verdict));
    row.title = edge.detail;
    box.appendChild(row);
  }
  if (more) F.add(box, F.el("div", "fc-note", more));
  return box;
}

// The strongest pictures, each beside itself in grey with the code over it, cell by cell of the true grid.
function pictures(value) {
  const box = F.el("section", "fc-examples"), most = Math.max(...value.pictures.flatMap((one) => one.values), 1e-9);
  F.add(box, F.add(F.el("h4", "", "Strongest pictures"), F.el("span", "fc-note", value.pictures.length ? `of different prompts; colour: code from 0 to ${F.number(most)}, on the grid of its hook point` : "")));
  if (!value.pictures.length) return F.add(box, F.el("div", "fc-note", "none kept in this graph"));
  const list = F.el("div", "fc-heats");
  for (const one of value.pictures) {
    const heat = F.add(F.el("div", "fc-heat"), still(one, ""), cells(one, most));
    heat.setAttribute("role", "img");
    heat.setAttribute("aria-label", one.heat_alt);
    heat.title = one.heat_alt;
    F.add(list, F.add(F.el("figure", "fc-heat-pair"), F.add(F.el("div", "fc-heat-two"), still(one, one.alt), heat),
      F.add(F.el("figcaption"), F.el("div", "", one.prompt), F.el("div", "fc-source", one.source))));
  }
  return F.add(box, list);
}

function still(one, alt) {
  const image = F.el("img");
  Object.assign(image, { src: one.address, alt });
  image.style.aspectRatio = String(one.ratio);
  return image;
}

function cells(one, most) {
  const canvas = F.el("canvas", "fc-heat-cells");
  Object.assign(canvas, { width: one.columns, height: one.rows });
  const brush = canvas.getContext("2d"), pixels = brush.createImageData(one.columns, one.rows);
  one.values.forEach((code, at) => pixels.data.set([255, 110, 0, Math.round(230 * Math.max(0, code / most))], 4 * at));
  brush.putImageData(pixels, 0, 0);
  return canvas;
}

// Held-out rows of a world in which a latent is lowest and highest: pictures, or the numbers that are seen as bars.
function ends(value) {
  const box = F.el("section", "fc-examples");
  F.add(box, F.add(F.el("h4", "", "Held-out rows at its ends"), F.el("span", "fc-note", value.rows.length ? "its value under each" : "")));
  if (!value.rows.length) return F.add(box, F.el("div", "fc-note", "none kept in this graph"));
  const most = Math.max(...value.rows.flatMap((one) => one.x.map(Math.abs)), 1e-9);
  for (const end of ["lowest", "highest"]) {
    const line = F.el("div", "fc-ends");
    for (const one of value.rows.filter((row) => row.end === end)) {
      const shown = one.address ? still(one, one.alt) : one.x.length ? bars(one, most) : F.el("div", "fc-note", `row ${one.row}`);
      const figure = F.add(F.el("figure", "fc-end"), shown, F.el("figcaption", "fc-source", F.number(one.value)));
      figure.title = one.said;
      line.appendChild(figure);
    }
    F.add(box, F.el("div", "fc-note", end), line);
  }
  return box;
}

function bars(one, most) {
  const wide = 76, high = 44, step = wide / one.x.length;
  const art = F.svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `${one.alt}. Dimensions of x: ${one.x.map((v) => F.number(v, 2)).join(", ")}` });
  one.x.forEach((value, at) => {
    const tall = (Math.abs(value) / most) * (high / 2 - 1);
    art.appendChild(F.svg("rect", { x: at * step + step * 0.1, y: value > 0 ? high / 2 - tall : high / 2, width: step * 0.8, height: tall, class: value > 0 ? "fc-up" : "fc-down" }));
  });
  art.appendChild(F.svg("line", { x1: 0, x2: wide, y1: high / 2, y2: high / 2, class: "fc-zero" }));
  return art;
}

// The mean activation along the trajectory, from pure noise at the left to the finished picture at the right.
function profile(found) {
  if (!found) return null;
  const box = F.el("section", "fc-profile"), wide = 340, high = 120, left = 34, low = high - 26, top = 8;
  F.add(box, F.add(F.el("h4", "", "Along the trajectory"), F.el("span", "fc-note", "mean activation by noise")));
  const most = Math.max(...found.points.map(([, mean]) => mean), 1e-9);
  const x = (noise) => left + (1 - noise) * (wide - left - 8), y = (mean) => low - (mean / most) * (low - top);
  const spoken = found.points.map(([noise, mean]) => `noise ${noise.toFixed(2)}: ${F.number(mean)}`).join(", ");
  const art = F.svg("svg", { viewBox: `0 0 ${wide} ${high}`, class: "fc-profile-plot", role: "img", "aria-label": `Mean activation over the trajectory. ${spoken}` });
  const text = (words, at, up, anchor) => { const label = F.svg("text", { x: at, y: up, "text-anchor": anchor }); label.textContent = words; art.appendChild(label); };
  if (found.band) {
    const [ends, starts] = found.band;
    art.appendChild(F.svg("rect", { x: x(starts), y: top, width: x(ends) - x(starts), height: low - top, class: "fc-null" }));
  }
  art.appendChild(F.svg("line", { x1: x(1), x2: x(0), y1: low, y2: low, class: "fc-zero" }));
  for (const noise of [1, 0.75, 0.5, 0.25, 0]) text(String(noise), x(noise), low + 12, "middle");
  text("noise", (x(0) + x(1)) / 2, high - 2, "middle");
  text(F.number(most, 2), left - 5, top + 5, "end");
  text("0", left - 5, low + 3, "end");
  art.appendChild(F.svg("polyline", { points: found.points.map(([noise, mean]) => `${x(noise)},${y(mean)}`).join(" "), class: "fc-profile-line" }));
  for (const [noise, mean] of found.points) {
    const dot = F.svg("circle", { cx: x(noise), cy: y(mean), r: 2.6, class: "fc-profile-dot" });
    F.add(dot, F.svg("title")).lastChild.textContent = `noise ${noise.toFixed(2)}: ${F.number(mean)}`;
    art.appendChild(dot);
  }
  F.add(box, art, F.el("div", "fc-note", `${found.said}${found.band ? " Grey: the noise its level reads in." : ""}`));
  if (found.spread) F.add(box, F.el("div", "fc-note", found.spread));
  return box;
}

function examples(value) {
  const box = F.el("section", "fc-examples");
  F.add(box, F.add(F.el("h4", "", "Strongest examples"), F.el("span", "fc-note", "hover a token for its code")));
  if (!value.examples.length) return F.add(box, F.el("div", "fc-note", "none kept in this graph"));
  const scale = Math.max(...value.examples.flatMap((e) => e.tokens.map((t) => Math.abs(t.value ?? 0))), 1e-9);
  for (const example of value.examples) {
    const item = F.el("div", "fc-example");
    F.add(item, F.strip(example.tokens, { scale, label: `Example from ${example.document}` }), F.el("div", "fc-source", example.source));
    box.appendChild(item);
  }
  return box;
}

function words(title, hint, tokens, sign) {
  const box = F.el("section", "fc-words");
  F.add(box, F.add(F.el("h4", "", title), F.el("span", "fc-note", hint)));
  if (!tokens.length) return F.add(box, F.el("div", "fc-note", "not measured"));
  const line = F.el("div", "fc-wordline");
  for (const token of tokens) {
    const word = F.el("span", `fc-word is-${sign}`, token.shown);
    word.dataset.tip = `${token.shown}  ${F.signed(token.score)}`;
    line.appendChild(word);
  }
  return F.add(box, line);
}

function draw() {
  const value = props.value || {};
  root.replaceChildren();
  if (!value.id) {
    F.add(root, F.el("div", "fc-empty", value.message || "Click a concept to see its evidence."));
    return;
  }
  F.add(root, heading(value), figures(value.figures),
    ...(value.of_pictures ? [pictures(value), profile(value.profile)] : []),
    ...(value.rows ? [ends(value), distribution(value.distribution)] : []),
    ...(value.edge_lists || [
      { title: "Made of", hint: "edges from the level below", items: value.children, more: value.children_more },
      { title: "Part of", hint: "edges to the level above", items: value.parents, more: value.parents_more },
    ]).map((list) => edges(list.title, list.hint, list.items, list.more)));
  if (value.null_note) F.add(root, F.el("p", "fc-note", value.null_note));
  if (value.rows) {
    root.scrollTop = 0;
    return;
  }
  if (value.of_pictures) {
    F.add(root, distribution(value.distribution));
    root.scrollTop = 0;
    return;
  }
  F.add(root, examples(value), distribution(value.distribution),
    words("Promoted tokens", "made likelier by the decoder row", value.promoted, "pos"),
    words("Suppressed tokens", "made less likely", value.suppressed, "neg"));
  root.scrollTop = 0;
}

watch("value", draw);
draw();
