"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const print = matchMedia("print"), dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 720px)");
  const merged = (base, more) => {
    const found = { ...base };
    for (const [key, value] of Object.entries(more)) {
      const both = value && typeof value === "object" && !Array.isArray(value) && typeof found[key] === "object";
      found[key] = both ? merged(found[key], value) : value;
    }
    return found;
  };

  // Figures name CSS variables as colours; here they become what the page has now. Everything else stays as it is.
  function coloured(value, css) {
    if (typeof value === "string") {
      const name = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return name ? css.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => coloured(item, css));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, css)]));
    return value;
  }

  function themed(layout, css) {
    const colour = (name) => css.getPropertyValue(name).trim();
    const soft = colour("--soft"), line = colour("--line"), clear = "rgba(0,0,0,0)";
    const axes = Object.fromEntries(Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).map((key) => [key, {
      gridcolor: line, linecolor: line, zerolinecolor: line, tickfont: { color: soft, size: 11 }, title: { font: { color: soft, size: 12 } },
    }]));
    const shared = {
      paper_bgcolor: clear, plot_bgcolor: clear, colorway: [colour("--accent")],
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--ink") },
      hoverlabel: { bgcolor: colour("--panel"), bordercolor: line, font: { color: colour("--ink"), size: 12 }, namelength: -1 },
      legend: { bgcolor: clear, font: { size: 12 } },
      dragmode: narrow.matches ? false : "zoom",
    };
    return merged(merged(shared, axes), coloured(layout, css));
  }

  const config = { displaylogo: false, responsive: true, displayModeBar: false, showLink: false, plotlyServerURL: "", showTips: false };
  function draw() {
    const css = getComputedStyle(document.documentElement);
    for (const [name, figure] of Object.entries(figures)) {
      Plotly.react(name, coloured(figure.data, css), themed(figure.layout, css), config);
    }
  }
  function resize() {
    for (const name of Object.keys(figures)) Plotly.Plots.resize(name);
  }

  draw();
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  print.addEventListener("change", () => { draw(); resize(); });
})();
