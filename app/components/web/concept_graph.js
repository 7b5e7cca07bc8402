// The clickable graph. Value: {url, key, label}; props: selected (id), marked (ids of levers), dimmed by selection.
// The figure is fetched from `url`; base traces are never redrawn for a selection, only dimmed.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-graph");
const status = F.add(root, F.el("div", "fc-graph-status")).lastChild;
status.setAttribute("aria-live", "polite");
const plot = F.add(root, F.el("div", "fc-graph-plot")).lastChild;
plot.setAttribute("role", "img");

const RIGHT = 6;  // pixels right of the picture
const CONFIRMED = ["composed", "carried", "generated"];
const RING = 24;  // across the ring around the selected concept
const pen = document.createElement("canvas").getContext("2d");
const state = { url: null, fetch: null, figure: null, places: new Map(), names: new Map(), bound: false };

function remember(data) {
  state.places = new Map();
  state.names = new Map();
  for (const trace of data) {
    (trace.ids || []).forEach((id, at) => {
      state.places.set(id, [trace.x[at], trace.y[at]]);
      // The first line of the hover is the label, escaped for plotly by the server.
      state.names.set(id, String(trace.hovertext[at]).split("<br>")[0]);
    });
  }
}

// Points and lines drawn over the base: the selected concept, its links, and the concepts that are levers.
function overlay() {
  const selected = state.places.has(props.selected) ? props.selected : null;
  const traces = [];
  const links = (state.figure.links || []).filter((link) => link[0] === selected || link[1] === selected).slice(0, 200);
  const { sideways, straight } = state.figure.layout.meta;  // time runs to the right, not storeys upwards
  for (const verdict of ["untested", "unsupported", "generated", "carried", "composed"]) {
    const x = [], y = [], confirmed = CONFIRMED.includes(verdict);
    for (const [source, target, own] of links) {
      const from = state.places.get(source), to = state.places.get(target);
      if (!from || !to || own !== verdict) continue;
      for (let step = 0; step <= 12; step += 1) {
        const t = step / 12, ease = straight ? t : t * t * (3 - 2 * t), [across, up] = sideways ? [t, ease] : [ease, t];
        x.push(from[0] + (to[0] - from[0]) * across);
        y.push(from[1] + (to[1] - from[1]) * up);
      }
      x.push(null); y.push(null);
    }
    if (x.length) traces.push({ type: "scatter", mode: "lines", x, y, hoverinfo: "skip", showlegend: false,
      line: { color: F.cssColour("--fc-accent", "#06c"), width: confirmed ? 2.2 : 1.6, dash: dashOf(verdict) } });
  }
  const ring = (ids, symbol, size, colour, width) => {
    const at = ids.map((id) => state.places.get(id)).filter(Boolean);
    if (at.length) traces.push({ type: "scatter", mode: "markers", x: at.map((p) => p[0]), y: at.map((p) => p[1]),
      hoverinfo: "skip", showlegend: false, marker: { symbol, size, color: "rgba(0,0,0,0)", line: { color: colour, width } } });
  };
  ring(props.marked || [], "diamond", 20, F.cssColour("--fc-neg", "#c60"), 2);
  if (selected) {
    const near = [...new Set(links.flatMap((link) => [link[0], link[1]]))].filter((id) => id !== selected);
    ring(near, "circle", 13, F.cssColour("--fc-accent", "#06c"), 1.2);
    ring([selected], "circle", 22, F.cssColour("--fc-accent", "#06c"), 2.6);
    const { text, side } = nameOf(selected);
    Object.assign(traces[traces.length - 1], { mode: "markers+text", text: [text],
      textposition: `top ${side}`, textfont: { size: 12, color: F.cssColour("--fc-ink", "#222"), shadow: haloOf(state.figure.data) } });
  }
  return { traces, selected };
}

// The line style of a verdict as the base and its legend have it; hidden edges have none there.
function dashOf(verdict) {
  const drawn = state.figure.data.find((trace) => trace.mode === "lines" && String(trace.name).split(",")[0] === verdict);
  return (drawn && drawn.line.dash) || (CONFIRMED.includes(verdict) ? "solid" : "dot");
}

// The base labels' own halo, so that a name reads over points and lines as they do.
function haloOf(data) {
  const nodes = data.find((trace) => Array.isArray(trace.ids) && trace.textfont);
  return nodes ? nodes.textfont.shadow : undefined;
}

// Pixels left of the picture: names of levels stand left of the storeys; along a time axis they stand inside.
function gutter(layout) {
  return layout.margin && !(layout.meta && layout.meta.sideways) ? layout.margin.l : RIGHT;
}

// The name of the selected concept where it meets neither the names of the levels nor the edge: above its marker, or
// to the side that has room, cut where there is none. `middle`: of the name, in pixels from the marker.
function nameOf(id) {
  const name = state.names.get(id) || "", place = state.places.get(id), { layout } = state.figure;
  pen.font = "bold 12px system-ui, -apple-system, 'Segoe UI', sans-serif";
  const plain = (text) => text.replace(/<[^>]*>/g, "").replace(/&(amp|lt|gt);/g, (_, one) => ({ amp: "&", lt: "<", gt: ">" })[one]);
  const long = (text) => pen.measureText(plain(text)).width + 2;
  const room = Math.max((plot.clientWidth || 1000) - gutter(layout) - RIGHT, 1);
  const [low, high] = (plot._fullLayout && plot._fullLayout.xaxis.range) || layout.xaxis.range || [0, 1];
  const before = ((place[0] - low) / (high - low)) * room, after = room - before, whole = long(name);
  if (Math.min(before, after) >= whole / 2) return { text: name, side: "center", middle: 0 };
  const [side, free] = after >= before ? ["right", after] : ["left", before];
  // Cut between characters of the name: a tag or an entity is one piece.
  const pieces = name.match(/<[^>]*>|&\w+;|[^<&]/gu) || [];
  let text = name;
  for (let most = pieces.length; most > 0 && long(text) + RING > free; most -= 1) {
    const kept = pieces.slice(0, most - 1).join("");
    text = `${kept}…${kept.includes("<b>") ? "</b>" : ""}`;
  }
  return { text, side, middle: ((side === "right" ? 1 : -1) * (long(text) + RING)) / 2 };
}

// The texts of a node trace without those the selected concept's name would be written over.
function clearOf(trace, selected) {
  const place = state.places.get(selected);
  if (!place || !state.names.get(selected)) return trace.text;
  const { text: name, middle } = nameOf(selected);
  const size = (text) => 7 * text.replace(/<[^>]*>|\s+$/g, "").length;
  const { xaxis, yaxis, meta } = state.figure.layout, length = (axis) => (axis.range ? Math.abs(axis.range[1] - axis.range[0]) : 1);
  const pixels = (plot.clientWidth || 1000) / length(xaxis), tall = (plot.clientHeight || 500) / length(yaxis);
  return trace.text.map((text, at) => {
    const aside = Math.abs((trace.x[at] - place[0]) * pixels - middle);
    // Where concepts stand on storeys, those of one storey share its lines; where they stand anywhere, nearness counts.
    const level = meta.free ? Math.abs(trace.y[at] - place[1]) * tall < 28 : Math.round(trace.y[at]) === Math.round(place[1]);
    return text && level && aside < (size(text) + size(name)) / 2 + 8 ? "" : text;
  });
}

function render() {
  if (!state.figure) return;
  const { traces, selected } = overlay();
  const ink = F.cssColour("--fc-ink", "#222");
  const base = state.figure.data.map((trace) => {
    const isNode = Array.isArray(trace.ids);
    const dim = selected ? (isNode ? 0.66 : 0.28) : 1;
    const text = isNode && selected ? clearOf(trace, selected) : trace.text;
    return { ...trace, type: F.webgl() ? trace.type : "scatter", text, opacity: (trace.opacity ?? 1) * dim };
  });
  const { title, ...rest } = state.figure.layout;
  const layout = { ...rest, margin: { l: gutter(rest), r: RIGHT, t: 6, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...(rest.font || {}), color: ink }, height: undefined, width: undefined, autosize: true,
    uirevision: props.value.key, datarevision: state.url };
  const first = base.findIndex((trace) => Array.isArray(trace.ids));
  const at = first < 0 ? base.length : first;
  const data = [...base.slice(0, at), ...traces.filter((t) => t.mode === "lines"), ...base.slice(at), ...traces.filter((t) => t.mode !== "lines")];
  Plotly.react(plot, data, layout, { displaylogo: false, responsive: false, scrollZoom: true,
    modeBarButtonsToRemove: ["toImage", "autoScale2d", "toggleSpikelines"] }).then(bind);
  plot.setAttribute("aria-label", props.value.label || "Concept graph; the table below holds the same concepts");
  plot.dataset.drawn = state.url;
}

// The concept of a point; WebGL traces tell their ids as custom data only.
function idOf(point) {
  return Array.isArray(point.data.ids) ? point.id || point.customdata : undefined;
}

function bind() {
  if (state.bound) return;
  state.bound = true;
  plot.on("plotly_click", (event) => {
    const id = event.points.map(idOf).find(Boolean);
    if (id) trigger("node_click", { id: String(id), shift: Boolean(event.event && event.event.shiftKey) });
  });
  plot.on("plotly_hover", (event) => {
    plot.style.cursor = event.points.some(idOf) ? "pointer" : "";
  });
}

async function load() {
  const value = props.value || {};
  if (!value.url) {
    state.url = null;
    state.figure = null;
    Plotly.purge(plot);
    state.bound = false;
    status.textContent = value.message || "";
    return;
  }
  // Labels are fitted to the width of the picture, in steps so that a small resize asks for nothing.
  const width = Math.max(300, Math.min(2400, Math.round((root.clientWidth || 1000) / 100) * 100));
  const url = `${value.url}&width=${width}`;
  if (url === state.url) return;
  state.url = url;
  if (state.fetch) state.fetch.abort();
  state.fetch = new AbortController();
  root.classList.add("is-loading");
  try {
    const answer = await fetch(url, { signal: state.fetch.signal });
    const figure = await answer.json();
    if (!answer.ok) throw new Error(figure.message || `The server answered ${answer.status}`);
    state.figure = figure;
    plot.style.height = figure.layout.meta.height ? `${figure.layout.meta.height}px` : "";
    remember(figure.data);
    status.textContent = (figure.layout.meta || {}).said || "";
    render();
  } catch (error) {
    if (error.name === "AbortError") return;
    state.url = null;
    status.textContent = `The graph could not be drawn. ${error.message}`;
  } finally {
    root.classList.remove("is-loading");
  }
}

watch("value", load);
watch(["selected", "marked"], render);
F.onTheme(render);
let resized = null;
new ResizeObserver(() => {
  if (!plot.offsetWidth) return;
  if (plot.data) Plotly.Plots.resize(plot);
  clearTimeout(resized);
  resized = setTimeout(load, 250);
}).observe(root);
load();
