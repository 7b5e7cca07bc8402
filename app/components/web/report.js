// The report's only script: draws the figures, follows the reader in the contents, leads from points to cards.
const narrow = matchMedia("(max-width: 640px)");
const CONFIG = { displaylogo: false, responsive: true, scrollZoom: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

function draw() {
  for (const box of document.querySelectorAll("[data-figure]")) {
    const variant = narrow.matches ? "narrow" : "wide";
    const figure = JSON.parse(document.getElementById(`${box.dataset.figure}-${variant}`).textContent);
    Plotly.react(box, figure.data, { ...figure.layout, dragmode: narrow.matches ? false : "pan" }, { ...CONFIG, displayModeBar: !narrow.matches });
    box.dataset.drawn = variant;
    box.removeAllListeners?.("plotly_click");
    box.on("plotly_click", (event) => openCard(event.points));
  }
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
const fit = (width) => { for (const box of document.querySelectorAll("[data-drawn]")) Plotly.relayout(box, width ? { width, autosize: false } : { width: null, autosize: true }); };
addEventListener("beforeprint", () => fit(700));
addEventListener("afterprint", () => fit(0));
narrow.addEventListener("change", draw);
draw();
follow();
