// @ts-check
/**
 * The chart of the audit pages, the button that copies the address, and printing. The numbers come with the
 * page; nothing is asked for. Without this script everything but the chart is there.
 */
document.documentElement.classList.add("has-js");

const box = document.getElementById("chart");
const source = document.getElementById("chart-data");

/** @typedef {{name: string, colour: string, values: number[]}} Stack */
/** @type {{starts: number[], labels: string[], running: boolean[], stacks: Stack[]}} */
const data = source ? JSON.parse(source.textContent ?? "{}") : { starts: [], labels: [], running: [], stacks: [] };

/** @param {string} name of a colour, as the style sheet has it */
function colour(name) {
  const probe = document.createElement("i");
  probe.className = name;
  const list = document.querySelector(".audit .legend");
  list?.append(probe);
  const found = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return found;
}

/** Lines in the colour of a bar that is not over. @param {CanvasRenderingContext2D} context @param {string} ink */
function hatched(context, ink) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.strokeStyle = ink;
  pen.lineWidth = 3;
  for (const at of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(at, 8);
    pen.lineTo(at + 8, 0);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat") ?? ink;
}

/** Each stack's top, from the bottom up. */
function tops() {
  const sums = data.starts.map(() => 0);
  return data.stacks.map((stack) => stack.values.map((value, at) => (sums[at] += value)));
}

/** @type {any} */
let plot = null;
/** The value under each bar, by the order in which uPlot draws: the highest first, so that the lower lie on it. */
function draw() {
  if (!box || !data.starts.length) return;
  plot?.destroy();
  const { uPlot } = /** @type {any} */ (window);
  const locale = box.dataset.locale || undefined;
  const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const style = getComputedStyle(/** @type {Element} */ (box.closest(".audit")));
  const ink = style.getPropertyValue("color");
  const line = getComputedStyle(box.closest(".card") ?? box).borderTopColor;
  const font = `12px ${style.fontFamily}`;
  const heights = tops().reverse();
  const inks = data.stacks.map((stack) => colour(stack.colour)).reverse();
  const places = data.starts.map((_, at) => at);
  const series = inks.map((fill) => ({
    fill,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({
      size: [0.72, 44],
      disp: { fill: { unit: 3, values: (chart) => data.running.map((running) => (running ? hatched(chart.ctx, fill) : fill)) } },
    }),
  }));
  const axis = { stroke: ink, font, ticks: { show: false } };
  plot = new uPlot(
    {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, x: false, y: false, points: { show: false } },
      scales: { x: { time: false, range: [-0.6, places.length - 0.4] }, y: { range: (_plot, _low, high) => [0, (high || 1) * 1.05] } },
      axes: [
        { ...axis, size: 28, grid: { show: false }, space: 70, incrs: [1, 2, 3, 4, 6, 7, 12, 14, 24, 28, 60, 91, 182, 365], values: (_plot, at) => at.map((n) => data.labels[n] ?? "") },
        { ...axis, size: 56, grid: { stroke: line, width: 1 }, values: (_plot, values) => values.map((value) => short.format(value)) },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [(chart) => tell(chart)] },
    },
    [places, ...heights],
    box,
  );
}

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;

/** @param {any} chart whose cursor moved */
function tell(chart) {
  const at = chart.cursor.idx;
  tip.hidden = at == null || chart.cursor.left < 0;
  if (tip.hidden || !box) return;
  const whole = new Intl.NumberFormat(box.dataset.locale || undefined);
  const title = document.createElement("b");
  title.textContent = data.labels[at] + (data.running[at] ? ` · ${box.dataset.running}` : "");
  const lines = data.stacks.filter((stack) => stack.values[at]).map((stack) => entry(stack.name, whole.format(stack.values[at]), stack.colour));
  const sum = data.stacks.reduce((all, stack) => all + stack.values[at], 0);
  tip.replaceChildren(title, ...lines.reverse(), entry(box.dataset.sum ?? "", whole.format(sum), ""));
  box.append(tip);
  const left = chart.valToPos(at, "x") + chart.over.offsetLeft;
  const right = left > box.clientWidth / 2;
  tip.style.left = `${right ? left - tip.offsetWidth - 14 : left + 14}px`;
}

/** @param {string} name @param {string} value @param {string} colour */
function entry(name, value, colour) {
  const row = document.createElement("span");
  const label = document.createElement("span");
  if (colour) {
    const mark = document.createElement("i");
    mark.className = colour;
    label.append(mark);
  }
  label.append(name);
  const number = document.createElement("b");
  number.textContent = value;
  row.append(label, number);
  return row;
}

if (box && data.starts.length) {
  draw();
  new ResizeObserver(() => plot && Math.abs(plot.width - box.clientWidth) > 1 && draw()).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Django's own switch of the theme, and paper, which is light.
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("print").addEventListener("change", draw);
} else if (box) box.hidden = true;

for (const button of document.querySelectorAll("[data-do='copy']"))
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    const before = button.textContent;
    button.textContent = button.getAttribute("data-done");
    setTimeout(() => { button.textContent = before; }, 1500);
  });
for (const button of document.querySelectorAll("[data-do='print']")) button.addEventListener("click", () => print());

// A day chosen is a period of one's own.
const period = /** @type {HTMLSelectElement|null} */ (document.querySelector(".filters [name=period]"));
for (const field of document.querySelectorAll(".filters [type=date]"))
  field.addEventListener("change", () => { if (period) period.value = "custom"; });
