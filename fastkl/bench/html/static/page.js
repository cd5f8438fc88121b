"use strict";
// Draws the charts that the page has places for, sorts and filters the table of all figures, and changes the theme.

const charts = JSON.parse(document.getElementById("charts").textContent);

// ---- colours: those of page.css, as the theme in force resolves them

function colour(name) {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.color = `var(--${name})`;
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

function faint(rgb, opacity) {
  return rgb.replace("rgb(", "rgba(").replace(")", `, ${opacity})`);
}

// Contestants are told apart by shape and dash first, so that the charts can be read in grey as well.
const SHAPES = ["rect", "triangle", "rectRot", "cross", "star", "crossRot", "rectRounded", "line", "dash"];
const DASHES = [[2, 3], [8, 3, 2, 3], [12, 4], [4, 4], [1, 5]];
const MARKS = 5; // colours of marks in page.css

function look(series) {
  const before = { fastkl: 0, floor: 0, other: 0 };
  return series.map(({ role }) => {
    const i = before[role]++;
    if (role === "fastkl") {
      return { colour: colour("fastkl"), shape: ["circle", "triangle", "rectRot"][i % 3],
        dash: [[], [8, 4], [2, 3]][i % 3], width: 3, radius: 6 };
    }
    if (role === "floor") {
      return { colour: colour("floor"), shape: "line", dash: [[6, 4], [2, 3]][i % 2], width: 2, radius: 7 };
    }
    return { colour: colour(`mark-${i % MARKS}`), shape: SHAPES[i % SHAPES.length], dash: DASHES[i % DASHES.length],
      width: 2, radius: 5 };
  });
}

// ---- numbers

function digits(value) {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(3)).toString();
}

function short(value) {
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= unit) return `${Number((value / unit).toPrecision(3))}${name}`;
  }
  return digits(value);
}

const leads = (value) => Number(value.toExponential().split("e")[0]);

// ---- what the charts have in common

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.font.family = "system-ui, sans-serif";

function axis(more) {
  return { grid: { color: faint(colour("line"), 0.7) }, border: { color: colour("line") }, ...more };
}

function logAxis(format, more) {
  const ticks = { autoSkip: true, autoSkipPadding: 12, maxRotation: 0,
    callback: (value) => ([1, 2, 5].includes(leads(value)) ? format(value) : null) };
  return axis({ type: "logarithmic", ticks, ...more });
}

const times = (value) => `${digits(value)}×`;

function bounds(values) {
  return { min: Math.min(1, ...values), max: Math.max(2, ...values) * 1.15 };
}

// A name in lines that leave room for the bars, and below it the figure.
function label({ name, label: figure }, width) {
  const lines = [];
  for (const word of name.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && longer.length * 6 > width * 0.4) lines.push(word);
    else lines.splice(-1, 1, longer);
  }
  return [...lines, figure];
}

// Bars as far as they are from the floor, which is where they begin.
function bars(chart, frame) {
  const isSpeed = chart.kind === "speed";
  const fills = { fastkl: colour("fastkl"), floor: colour("floor"), other: colour("other") };
  const values = chart.bars.map((bar) => bar.value);
  const data = { label: chart.title, data: values, base: isSpeed ? 1 : 0, minBarLength: 3,
    backgroundColor: chart.bars.map((bar) => fills[bar.role]), barPercentage: 0.7, categoryPercentage: 1 };
  const x = isSpeed ? logAxis(times, bounds(values)) : axis({ min: 0, max: 17, ticks: { stepSize: 4, includeBounds: false } });
  const labels = chart.bars.map((bar) => label(bar, frame.clientWidth));
  frame.style.height = `${30 + labels.length * (10 + 14 * Math.max(...labels.map((lines) => lines.length)))}px`;
  return {
    type: "bar",
    data: { labels, datasets: [data] },
    options: {
      indexAxis: "y",
      scales: { x, y: axis({ grid: { display: false }, ticks: { autoSkip: false } }) },
      plugins: { legend: { display: false }, tooltip: { callbacks: {
        title: (items) => chart.bars[items[0].dataIndex].name,
        label: (item) => `${chart.bars[item.dataIndex].label}${isSpeed ? `, ${times(item.raw)} of ${chart.base}` : ""}`,
      } } },
    },
  };
}

function overview(chart, frame) {
  const looks = look(chart.series);
  const datasets = chart.series.map((series, i) => ({ label: series.name, data: series.values, showLine: false,
    pointStyle: looks[i].shape, pointRadius: looks[i].radius, pointHoverRadius: looks[i].radius + 2,
    pointRotation: series.role === "floor" ? 90 : 0, pointBorderWidth: 2,
    borderColor: looks[i].colour, backgroundColor: looks[i].colour, order: series.role === "fastkl" ? 0 : 1 }));
  const values = chart.series.flatMap((series) => series.values).filter((value) => value !== null);
  frame.style.height = `${110 + 30 * chart.jobs.length + (frame.clientWidth < 500 ? 22 * chart.series.length : 0)}px`;
  return {
    type: "line",
    data: { labels: chart.jobs, datasets },
    options: {
      indexAxis: "y",
      scales: { x: logAxis(times, { ...bounds(values), min: Math.min(1, ...values) * 0.85 }),
        y: axis({ offset: true, ticks: { autoSkip: false } }) },
      plugins: { legend: { labels: { usePointStyle: true } }, tooltip: { callbacks: {
        label: (item) => `${item.dataset.label}: ${times(item.raw)}` } } },
    },
  };
}

// Upright lines where something happens to a curve, what it is written along them.
const uprights = {
  id: "uprights",
  beforeDatasetsDraw({ ctx, chartArea, scales }, _, { marks }) {
    ctx.save();
    ctx.font = `11px ${Chart.defaults.font.family}`;
    ctx.strokeStyle = colour("quiet");
    ctx.fillStyle = colour("quiet");
    ctx.setLineDash([2, 3]);
    let last = { x: -Infinity, end: 0 };
    for (const { at, label } of marks) {
      const x = Math.round(scales.x.getPixelForValue(at)) + 0.5; // the middle of a pixel: one wide, not two
      ctx.beginPath();
      ctx.moveTo(x, Math.round(chartArea.top));
      ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      // Names of lines that are close to each other stand one below the other.
      const start = x - last.x < 14 ? last.end + 8 : chartArea.top + 4;
      ctx.save();
      ctx.translate(x + 3, start);
      ctx.rotate(Math.PI / 2);
      ctx.textBaseline = "bottom";
      ctx.textAlign = "left";
      ctx.fillText(label, 0, 0);
      ctx.restore();
      last = { x, end: start + ctx.measureText(label).width };
    }
    ctx.restore();
  },
};

// The numbers that were measured where they are few, else round ones.
function scalingAxis(chart, range) {
  const values = [...new Set(chart.series.flatMap((series) => series.points.map(([x]) => x)))];
  const few = { callback: (value) => short(value), autoSkip: true, maxRotation: 0 };
  if (chart.x === "threads" && range.max / range.min > 4) {
    return axis({ type: "logarithmic", ...range, ticks: few,
      afterBuildTicks: (scale) => { scale.ticks = values.map((value) => ({ value })); } });
  }
  return range.max / range.min > 50
    ? logAxis(short, range)
    : axis({ type: "linear", ...range, ticks: { precision: 0 } });
}

// The names of lines, those of the floors with their dashes: they have no marks.
function legend(looks, series) {
  const own = Chart.defaults.plugins.legend.labels.generateLabels;
  return { labels: { usePointStyle: true, generateLabels: (drawing) => own(drawing).map((item) => ({ ...item,
    lineDash: series[item.datasetIndex].role === "floor" ? looks[item.datasetIndex].dash : [] })) } };
}

// Below the roofline nothing can be: it is shaded. On the right the rate that a time means.
function scaling(chart, frame) {
  const looks = look(chart.series);
  const sum = (series) => series.points.reduce((total, [, y]) => total + y, 0);
  const floors = chart.series.filter((series) => series.role === "floor");
  const lowest = floors.reduce((a, b) => (sum(b) < sum(a) ? b : a), floors[0]);
  const datasets = chart.series.map((series, i) => ({
    label: series.role === "floor" ? `${series.name} (roofline)` : series.name,
    data: series.points.map(([x, y]) => ({ x, y })), borderColor: looks[i].colour, borderDash: looks[i].dash,
    borderWidth: looks[i].width, pointStyle: looks[i].shape, pointRadius: series.role === "floor" ? 0 : looks[i].radius,
    pointBackgroundColor: looks[i].colour, backgroundColor: faint(colour("floor"), 0.12),
    fill: series === lowest ? "start" : false, clip: 10, order: series.role === "fastkl" ? 0 : 1 }));
  const sizes = chart.series.flatMap((series) => series.points.map(([x]) => x));
  const range = { min: Math.min(...sizes), max: Math.max(...sizes) };
  const spread = chart.series.flatMap((series) => series.points.map(([, y]) => y));
  const isWide = Math.max(...spread) / Math.min(...spread) > 20;
  const y = isWide
    ? logAxis(digits, { min: Math.min(...spread) / 1.5, max: Math.max(...spread) * 1.3 })
    : axis({ min: 0, max: Math.max(...spread) * 1.1, ticks: { includeBounds: false } });
  const scales = { x: scalingAxis(chart, range), y };
  y.title = { display: true, text: chart.y };
  if (chart.rate) {
    const { unit, per_item: perItem } = chart.rate;
    const rate = (value) => (value > 0 ? digits(perItem / value) : null);
    scales.rate = { ...y, position: "right", grid: { display: false }, title: { display: true, text: unit },
      ticks: { ...y.ticks, callback: (value) => (isWide && ![1, 2, 5].includes(leads(value)) ? null : rate(value)) } };
  }
  const marks = chart.marks.filter(({ at }) => at > range.min && at < range.max);
  const rateOf = (item) => (chart.rate ? `, ${digits(chart.rate.per_item / item.parsed.y)} ${chart.rate.unit}` : "");
  if (chart.series.length > 3 && frame.clientWidth < 500) frame.style.height = "26rem";
  return {
    type: "line",
    data: { datasets },
    plugins: [uprights],
    options: { scales, layout: { padding: { right: 10 } }, plugins: { uprights: { marks },
      legend: legend(looks, chart.series),
      tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${digits(item.parsed.y)} ${chart.y}${rateOf(item)}`,
        title: (items) => `${items[0].parsed.x.toLocaleString("en")} ${chart.x}` } } } },
  };
}

const KINDS = { speed: bars, error: bars, overview, scaling };
const drawn = new Map();

function draw(canvas) {
  drawn.get(canvas)?.destroy();
  const chart = charts[canvas.id];
  drawn.set(canvas, new Chart(canvas, KINDS[chart.kind](chart, canvas.parentElement)));
}

const canvases = [...document.querySelectorAll("canvas")];

// A chart is drawn when it comes near the screen: a phone's memory does not hold them all at once.
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      nearby.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "600px" });
canvases.forEach((canvas) => nearby.observe(canvas));

// ---- theme: theme.js knows it

const root = document.documentElement;
const button = document.getElementById("theme");

function redraw() {
  button.setAttribute("aria-pressed", String(isDark()));
  Chart.defaults.color = colour("ink");
  [...drawn.keys()].forEach(draw);
}

button.addEventListener("click", () => {
  choose(isDark() ? "light" : "dark");
  redraw();
});
systemIsDark.addEventListener("change", redraw);
redraw();

// Paper is light, and holds everything.
let before;
addEventListener("beforeprint", () => {
  before = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open])")] };
  root.dataset.theme = "light";
  before.closed.forEach((details) => { details.open = true; });
  redraw();
  canvases.filter((canvas) => !drawn.has(canvas)).forEach(draw);
});
addEventListener("afterprint", () => {
  before.closed.forEach((details) => { details.open = false; });
  if (before.theme) root.dataset.theme = before.theme;
  else delete root.dataset.theme;
  redraw();
});

// ---- the table of all figures

const table = document.getElementById("all");
const lines = [...table.tBodies[0].rows];
const texts = new Map(lines.map((line) => [line, line.textContent.toLowerCase()]));
const shown = document.getElementById("shown");

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const line of lines) line.hidden = !words.every((word) => texts.get(line).includes(word));
  shown.textContent = `${lines.filter((line) => !line.hidden).length} of ${lines.length} lines`;
}

document.getElementById("filter").addEventListener("input", filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();

function compare(column, isNumber) {
  const key = (line) => line.cells[column].dataset.value ?? line.cells[column].textContent;
  return isNumber ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
}

// What has no number comes last, whichever way the column is sorted.
function sort(heading) {
  const direction = heading.ariaSort === "ascending" ? -1 : 1;
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.ariaSort = direction === 1 ? "ascending" : "descending";
  const column = heading.cellIndex;
  const order = compare(column, heading.classList.contains("number"));
  const isEmpty = (line) => line.cells[column].textContent === "";
  lines.sort((a, b) => isEmpty(a) - isEmpty(b) || direction * order(a, b));
  table.tBodies[0].append(...lines);
}

for (const heading of table.tHead.rows[0].cells) {
  heading.querySelector("button").addEventListener("click", () => sort(heading));
}
