// The wheel, + and - zoom, dragging and the arrows move, a double click or 0 shows everything again.
(function () {
  const script = document.currentScript;
  const root = (script && script.ownerSVGElement) || document.documentElement;
  const bars = root.querySelector("#bars"), axis = root.querySelector("#axis");
  if (!bars || !axis) return;
  const namespace = "http://www.w3.org/2000/svg";
  const data = name => Number(axis.getAttribute("data-" + name));
  const span = data("span"), left = data("left"), width = data("width"), top = data("top"), bottom = data("bottom");
  // The bars with their times, in microseconds, and what lies behind all of them: it is as large as their place.
  const [behind, ...rest] = bars.querySelectorAll("rect");
  const tasks = rest.map(rect => [rect, ...rect.getAttribute("data-t").split(" ").map(Number)]);
  // What is too short to be seen is seen.
  const least = 0.5;
  let from = 0, shown = span, waiting = false;

  const text = (at, step) => {
    const pad = number => String(number).padStart(2, "0"), seconds = Math.floor(at / 1e6);
    if (step >= 6e7) return Math.floor(seconds / 3600) + ":" + pad(Math.floor(seconds / 60) % 60) + " h";
    if (step >= 1e6) return seconds >= 60 ? Math.floor(seconds / 60) + ":" + pad(seconds % 60) + " min" : seconds + " s";
    if (step >= 1e5) return (at / 1e6).toFixed(1) + " s";
    if (step >= 1e4) return (at / 1e6).toFixed(2) + " s";
    if (step >= 1e3) return span < 1e6 ? at / 1e3 + " ms" : (at / 1e6).toFixed(3) + " s";
    return span < 1e5 ? at + " µs" : (at / 1e6).toFixed(6) + " s";
  };
  const steps = [];
  for (let power = 1; power < 1e7; power *= 10) steps.push(power, 2 * power, 5 * power);
  for (const seconds of [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]) steps.push(seconds * 1e6);

  const put = (element, attributes) => {
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    return element;
  };
  const make = (name, attributes) => put(document.createElementNS(namespace, name), attributes);

  function draw() {
    waiting = false;
    const scale = width / shown, end = from + shown;
    for (const [rect, begun, ended] of tasks) {
      // What is outside is cut, since browsers draw large numbers inexactly.
      const [first, last] = [(Math.max(begun, from - shown) - from) * scale, (Math.min(ended, end + shown) - from) * scale];
      const there = ended >= from && begun <= end;
      rect.style.display = there ? "" : "none";
      if (there) {
        const wide = last - first;
        put(rect, wide < least ? { x: Math.min(first, width - least), width: least } : { x: first, width: wide });
      }
    }
    const step = steps.find(it => it >= shown / 8) || Math.ceil(shown / 8 / 864e8) * 864e8;
    axis.replaceChildren();
    for (let at = Math.ceil(from / step) * step; at <= end; at += step) {
      const x = left + (at - from) * scale;
      const label = make("text", { x, y: top - 9, "text-anchor": "middle", class: "axis" });
      label.textContent = text(at, step);
      axis.append(make("line", { x1: x, x2: x, y1: top - 4, y2: bottom, stroke: "#cfd8dc" }), label);
    }
  }
  function show(newFrom, newShown) {
    // Ten microseconds are the least, all is the most.
    shown = Math.min(span, Math.max(Math.min(10, span), newShown));
    from = Math.min(span - shown, Math.max(0, newFrom));
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(draw);
    }
  }
  const zoom = (factor, at) => {
    const point = from + at * shown, wanted = Math.min(span, Math.max(Math.min(10, span), shown * factor));
    show(point - at * wanted, wanted);
  };
  const all = () => show(0, span);
  const fraction = event => {
    const box = behind.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };

  bars.addEventListener("wheel", event => {
    event.preventDefault();
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), fraction(event));
  }, { passive: false });
  let held = null;
  bars.addEventListener("pointerdown", event => {
    // Not a selection of text.
    event.preventDefault();
    held = [fraction(event), from];
    bars.setPointerCapture(event.pointerId);
  });
  bars.addEventListener("pointermove", event => {
    if (held) show(held[1] - (fraction(event) - held[0]) * shown, shown);
  });
  for (const end of ["pointerup", "pointercancel"]) bars.addEventListener(end, () => { held = null; });
  bars.addEventListener("dblclick", all);
  const keys = {
    "+": () => zoom(0.5, 0.5), "=": () => zoom(0.5, 0.5), "-": () => zoom(2, 0.5), 0: all,
    ArrowLeft: () => show(from - shown / 4, shown), ArrowRight: () => show(from + shown / 4, shown),
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const hint = make("text", { x: left + width, y: 22, "text-anchor": "end", class: "axis" });
  hint.textContent = "wheel, + −: zoom · drag, ← →: move · double click, 0: all";
  root.insertBefore(hint, bars);
})();
