// The report's only script: draws the figures, follows the reader in the contents, leads from points to cards.
const narrow = matchMedia("(max-width: 640px)");
const CONFIG = { displaylogo: false, responsive: true, scrollZoom: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const figures = new Map([...document.querySelectorAll("[data-figure]")].map((box) =>
  [box, JSON.parse(document.getElementById(box.dataset.figure).textContent)]));

// Each figure comes in variants whose labels are fitted to a width: the widest that fits is drawn.
function draw(box, width) {
  const variants = figures.get(box), widths = Object.keys(variants).map(Number);
  const chosen = Math.max(...widths.filter((made) => made <= width), Math.min(...widths));
  if (box.dataset.drawn === String(chosen)) return;
  const { data, layout } = variants[chosen], phone = narrow.matches;
  Plotly.react(box, data, { ...layout, dragmode: phone ? false : "pan" }, { ...CONFIG, displayModeBar: !phone });
  box.removeAllListeners("plotly_click");
  box.on("plotly_click", (event) => openCard(event.points));
  box.dataset.drawn = chosen;
}

// A point of a concept leads to its card, where the report has one.
function openCard(points) {
  for (const point of points) {
    const id = typeof point.customdata === "string" ? `concept-${point.customdata.replace("/", "-")}` : "";
    if (id && document.getElementById(id)) { location.hash = id; return; }
  }
}

function follow() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](entry.target.id);
    const here = [...links.keys()].find((id) => seen.has(id));
    if (here) for (const [id, link] of links) link.classList.toggle("is-here", id === here);
  }, { rootMargin: "-10% 0px -70% 0px" });
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}

// Paper is narrower than most windows: fit the figures to it, and back afterwards.
const PAPER = 690;
addEventListener("beforeprint", () => { for (const box of figures.keys()) { draw(box, PAPER); Plotly.relayout(box, { width: PAPER, autosize: false }); } });
addEventListener("afterprint", () => { for (const box of figures.keys()) { box.dataset.drawn = ""; draw(box, box.clientWidth); Plotly.Plots.resize(box); } });
const resized = new ResizeObserver((entries) => {
  if (!matchMedia("print").matches) for (const { target } of entries) draw(target, target.clientWidth);
});
for (const box of figures.keys()) { draw(box, box.clientWidth); resized.observe(box); }
follow();
