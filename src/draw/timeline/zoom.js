// The wheel zooms around the pointer, dragging moves, a double click shows everything again.
(function () {
  const root = document.currentScript ? document.currentScript.ownerSVGElement || document : document;
  const bars = root.querySelector("#bars"), axis = root.querySelector("#axis");
  if (!bars || !axis) return;
  const svg = "http://www.w3.org/2000/svg";
  const [, , width, height] = bars.getAttribute("viewBox").split(" ").map(Number);
  const data = name => Number(axis.dataset ? axis.dataset[name] : axis.getAttribute("data-" + name));
  const span = data("span"), left = data("left"), top = data("top"), bottom = data("bottom");
  let from = 0, shown = width;
  const text = (micros, step) => {
    const pad = n => String(n).padStart(2, "0"), seconds = Math.floor(micros / 1e6);
    if (step >= 6e7) return Math.floor(seconds / 3600) + ":" + pad(Math.floor(seconds / 60) % 60) + " h";
    if (step >= 1e6) return seconds >= 60 ? Math.floor(seconds / 60) + ":" + pad(seconds % 60) + " min" : seconds + " s";
    if (step >= 1e3) return (micros / 1e6).toFixed(Math.max(0, 6 - Math.floor(Math.log10(step)))) + " s";
    return (micros / 1e6).toFixed(6) + " s";
  };
  const steps = [];
  for (let power = 1; power < 1e7; power *= 10) steps.push(power, 2 * power, 5 * power);
  for (const seconds of [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]) steps.push(seconds * 1e6);
  steps.sort((a, b) => a - b);
  function draw() {
    bars.setAttribute("viewBox", from + " 0 " + shown + " " + height);
    axis.replaceChildren();
    const perMicro = width / span, first = from / perMicro, last = (from + shown) / perMicro;
    const step = steps.find(it => it >= (last - first) / 8) || Math.ceil((last - first) / 8 / 864e8) * 864e8;
    for (let at = Math.ceil(first / step) * step; at <= last; at += step) {
      const x = left + (at * perMicro - from) * width / shown;
      const line = document.createElementNS(svg, "line"), label = document.createElementNS(svg, "text");
      for (const [name, value] of [["x1", x], ["x2", x], ["y1", top - 4], ["y2", bottom], ["stroke", "#cfd8dc"]]) line.setAttribute(name, value);
      for (const [name, value] of [["x", x], ["y", top - 9], ["text-anchor", "middle"], ["class", "axis"]]) label.setAttribute(name, value);
      label.textContent = text(at, step);
      axis.append(line, label);
    }
  }
  const clamp = () => {
    shown = Math.min(width, Math.max(width / 1e6, shown));
    from = Math.min(width - shown, Math.max(0, from));
  };
  const fraction = event => {
    const box = bars.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  bars.addEventListener("wheel", event => {
    event.preventDefault();
    const at = fraction(event), point = from + at * shown;
    shown *= Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300)));
    clamp();
    from = point - at * shown;
    clamp();
    draw();
  }, { passive: false });
  let held = null;
  bars.addEventListener("pointerdown", event => { held = [fraction(event), from]; bars.setPointerCapture(event.pointerId); });
  bars.addEventListener("pointermove", event => {
    if (!held) return;
    from = held[1] - (fraction(event) - held[0]) * shown;
    clamp();
    draw();
  });
  bars.addEventListener("pointerup", () => { held = null; });
  bars.addEventListener("dblclick", () => { from = 0; shown = width; draw(); });
})();
