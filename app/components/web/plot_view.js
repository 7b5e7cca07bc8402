// A plotly figure: {data, layout}. Used for every chart, so that one plotly.js serves the whole page.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
const plot = F.add(root, F.el("div", "fc-plot")).lastChild;
plot.setAttribute("role", "img");
let shown = null;

function draw() {
  const value = props.value || {};
  const text = JSON.stringify(value);
  if (text === shown) return;
  shown = text;
  if (!value.data || !value.data.length) {
    Plotly.purge(plot);
    plot.classList.add("is-empty");
    return;
  }
  plot.classList.remove("is-empty");
  plot.setAttribute("aria-label", value.label || "Chart");
  const ink = F.cssColour("--fc-ink", "#222");
  const grid = F.cssColour("--fc-line", "#ddd");
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
  const given = value.layout || {};
  const layout = {
    margin: { l: 48, r: 12, t: 28, b: 36 }, height: 260, autosize: true,
    ...given,
    xaxis: { ...axis, ...(given.xaxis || {}) }, yaxis: { ...axis, ...(given.yaxis || {}) },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...(given.font || {}), color: ink, family: "system-ui, sans-serif", size: 12 },
    uirevision: value.key || "same",
  };
  Plotly.react(plot, value.data, layout, { displayModeBar: false, responsive: true });
}

watch("value", draw);
F.onTheme(() => { shown = null; draw(); });
new ResizeObserver(() => {
  if (plot.offsetWidth && plot.data) Plotly.Plots.resize(plot);
}).observe(root);
draw();
