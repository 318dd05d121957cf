"use strict";
(() => {
  const NS = document.querySelector("svg.sprite").namespaceURI;
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS(NS, tag);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
  };
  const html = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
  };

  // Numbers as text: 0.0417, 12,346, 1.2 × 10⁻⁹.
  const raised = (n) => String(n).replace(/[-0-9]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  const shown = (v, digits = 5) => {
    if (v === null || v === undefined) return "none";
    if (v === 0) return "0";
    const size = Math.abs(v), sign = v < 0 ? "−" : "";
    if (size >= 1e7 || size < 1e-3) {
      const [mantissa, power] = size.toExponential(digits - 1).split("e");
      const plain = String(Number(mantissa));
      return sign + (plain === "1" ? "" : plain + " × ") + "10" + raised(Number(power));
    }
    return sign + Number(size.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 9 });
  };

  // Axes: coordinates of values, and the values of ticks.
  const bend = (axis) => {
    if (axis.scale === "log") return (v) => Math.log10(Math.max(v, axis.floor || 1e-300));
    if (axis.scale === "symlog") return (v) => Math.sign(v) * Math.log10(1 + Math.abs(v) / axis.unit);
    return (v) => v;
  };
  const ticks = (axis, low, high, most) => {
    if (axis.scale === "log") {
      const from = Math.ceil(low - 1e-9), to = Math.floor(high + 1e-9), found = [];
      if (to - from < 2) {
        for (let e = Math.floor(low); e <= to; e++) for (const d of [1, 2, 5]) found.push(d * 10 ** e);
      } else {
        const gap = Math.max(1, Math.ceil((to - from) / most));
        for (let e = from; e <= to; e++) if (e % gap === 0) found.push(10 ** e);
      }
      return found.filter((v) => Math.log10(v) >= low - 1e-9 && Math.log10(v) <= high + 1e-9 && (!axis.whole || Number.isInteger(v)));
    }
    if (axis.scale === "symlog") {
      const top = Math.max(Math.abs(low), Math.abs(high)), gap = Math.max(1, Math.ceil(top / (most / 2)));
      const found = [0];
      for (let e = gap; e <= top; e += gap) found.push(axis.unit * 10 ** e, -axis.unit * 10 ** e);
      return found.filter((v) => bend(axis)(v) >= low && bend(axis)(v) <= high);
    }
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    let gap = power * [1, 2, 5, 10].find((m) => power * m >= rough * 0.999);
    if (axis.whole) gap = Math.max(1, Math.round(gap));
    const found = [];
    for (let k = Math.ceil(low / gap - 1e-9); k * gap <= high + gap * 1e-9 && found.length < 40; k++) found.push(Number((k * gap).toPrecision(12)));
    return found;
  };
  const extent = (values, margin) => {
    let low = Infinity, high = -Infinity;
    for (const v of values) if (v !== null && Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
    if (low > high) return [0, 1];
    const size = Math.max(Math.abs(low), Math.abs(high)), flat = high - low <= 1e-6 * size;
    const room = flat ? size * 0.05 || 1 : (high - low) * margin;
    return [low - room, high + room];
  };

  const frame = (spec, width, height, xs, ys) => {
    const left = width < 460 ? 58 : 70, right = width - 14, top = 26, bottom = height - 44;
    const X = bend(spec.x), Y = bend(spec.y);
    const [x0, x1] = extent(xs.map(X), spec.kind === "grid" ? 0 : 0.02), [y0, y1] = extent(ys.map(Y), spec.kind === "grid" ? 0 : 0.06);
    const px = (v) => left + (X(v) - x0) / (x1 - x0) * (right - left);
    const py = (v) => bottom - (Y(v) - y0) / (y1 - y0) * (bottom - top);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": spec.alt });
    const exact = spec.y.floor && ys.some((v) => v <= spec.y.floor);
    for (const v of ticks(spec.y, y0, y1, 6)) {
      const y = py(v);
      if (exact && y > py(0) - 14) continue;
      if (spec.kind !== "grid") svg.append(make("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
      svg.append(make("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, shown(v, 4)));
    }
    if (exact) svg.append(make("text", { x: left - 8, y: py(0) + 4, "text-anchor": "end" }, "0"));
    svg.append(make("text", { class: "name", x: 2, y: 13 }, spec.y.label));
    for (const v of ticks(spec.x, x0, x1, width < 460 ? 4 : 8))
      svg.append(make("text", { x: px(v), y: bottom + 18, "text-anchor": "middle" }, shown(v, 4)));
    svg.append(make("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
    svg.append(make("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, spec.x.label));
    return { svg, px, py, left, right, top, bottom };
  };

  const drawLines = (spec, width, hidden) => {
    const height = Math.round(Math.min(340, Math.max(230, width * 0.42)));
    const visible = spec.series.filter((s) => !hidden.has(s.group));
    const at = (s) => s.x || spec.steps;
    const end = spec.x.range ? spec.x.range[1] : Infinity;  // nothing happens after it
    const xs = spec.series.flatMap(at).filter((x) => x <= end), own = visible.flatMap((s) => s.outside ? [] : s.y).filter((v) => v !== null);
    const ys = own.concat(spec.y.scale === "log" && !own.length ? [1] : [], (spec.marks || []).map((m) => m.y));
    const within = spec.y.range || ys;
    const area = frame(spec, width, height, xs, within), { svg, px, py } = area;
    for (const mark of spec.marks || []) svg.append(make("line", { class: "mark", x1: area.left, x2: area.right, y1: py(mark.y), y2: py(mark.y) }));
    for (const v of spec.stops || []) svg.append(make("line", { class: "mark", x1: px(v), x2: px(v), y1: area.top, y2: area.bottom }));
    const clip = (y) => Math.min(area.bottom, Math.max(area.top, y));
    const few = Math.max(...spec.series.map((s) => s.y.length)) <= 40 && xs.length <= 600;
    const over = (s) => new Set(s.over || []);  // places that the line passes over
    spec.series.forEach((s, n) => {
      if (hidden.has(s.group)) return;
      let path = "", pen = false;
      const x = at(s), left = over(s);
      s.y.forEach((v, k) => {
        if (left.has(k) || x[k] > end) return;
        if (v === null) { pen = false; return; }
        const a = px(x[k]).toFixed(1), b = clip(py(v)).toFixed(1);
        path += `${pen ? "L" : "M"}${a} ${b}`;
        pen = true;
        if (s.points || (few && !s.thin)) svg.append(make("circle", { class: `dot ${s.color}`, cx: a, cy: b, r: s.points && xs.length > 400 ? 2 : 3.2 }));
      });
      const thick = s.thin ? 1.3 : Math.max(1.6, 3.4 - 0.35 * n);  // so that none hides another
      if (!s.points) svg.append(make("path", { class: `line ${s.color} d${s.dash || 0}`, "stroke-width": thick.toFixed(2), d: path }));
    });
    const cursor = make("line", { class: "cursor", y1: area.top, y2: area.bottom, visibility: "hidden" });
    svg.append(cursor);
    const places = [...new Set(visible.flatMap(at))].filter((x) => x <= end).sort((a, b) => a - b);
    const read = (k) => {
      const value = places[k];
      cursor.setAttribute("x1", px(value)); cursor.setAttribute("x2", px(value)); cursor.setAttribute("visibility", "visible");
      const entries = visible.flatMap((s) => at(s).flatMap((x, n) => x === value && s.y[n] !== null ? [`${s.name} ${shown(s.y[n])}`] : []));
      return `${spec.x.label} ${shown(value)}: ${entries.slice(0, 16).join("; ") || "nothing"}`;
    };
    const near = (x) => places.reduce((best, v, k) => Math.abs(px(v) - x) < Math.abs(px(places[best]) - x) ? k : best, 0);
    return { svg, count: places.length, find: near, read, step: { ArrowRight: 1, ArrowLeft: -1 } };
  };

  const drawGrid = (spec, width, hidden) => {
    const height = Math.round(Math.min(520, Math.max(300, width * 0.66)));
    const edges = (values, bent) => {
      const v = values.map(bent), out = [];
      for (let k = 0; k <= v.length; k++) {
        const a = k > 0 ? v[k - 1] : 2 * v[0] - v[1], b = k < v.length ? v[k] : 2 * v[k - 1] - v[k - 2];
        out.push((a + b) / 2);
      }
      return out;
    };
    const back = (axis) => axis.scale === "log" ? (v) => 10 ** v : (v) => v;
    const ex = edges(spec.across, bend(spec.x)).map(back(spec.x)), ey = edges(spec.upward, bend(spec.y)).map(back(spec.y));
    const { svg, px, py } = frame(spec, width, height, ex, ey), wide = spec.across.length;
    spec.status.forEach((status, n) => {
      if (status === null || hidden.has(spec.statuses[status])) return;
      const i = n % wide, j = Math.floor(n / wide), y = py(ey[j + 1]);
      const cell = make("rect", { class: `cell ${spec.statuses[status]}`, "shape-rendering": "crispEdges", x: px(ex[i]).toFixed(2), y: y.toFixed(2), width: (px(ex[i + 1]) - px(ex[i])).toFixed(2), height: (py(ey[j]) - y).toFixed(2) });
      if (spec.shade) cell.setAttribute("fill-opacity", spec.shade[n]);
      svg.append(cell);
    });
    let edge = "";
    const above = (n) => spec.rate[n] === null ? null : spec.rate[n] > 1;
    spec.rate.forEach((_, n) => {
      const i = n % wide, j = Math.floor(n / wide);
      const parted = (m) => above(n) !== null && above(m) !== null && above(n) !== above(m);
      if (i + 1 < wide && parted(n + 1)) edge += `M${px(ex[i + 1])} ${py(ey[j])}V${py(ey[j + 1])}`;
      if (n + wide < spec.rate.length && parted(n + wide)) edge += `M${px(ex[i])} ${py(ey[j + 1])}H${px(ex[i + 1])}`;
    });
    svg.append(make("path", { class: "edge", d: edge }));
    const box = make("rect", { class: "frame", visibility: "hidden" });
    svg.append(box);
    const read = (n) => {
      const i = n % wide, j = Math.floor(n / wide);
      box.setAttribute("x", px(ex[i])); box.setAttribute("y", py(ey[j + 1]));
      box.setAttribute("width", px(ex[i + 1]) - px(ex[i])); box.setAttribute("height", py(ey[j]) - py(ey[j + 1]));
      box.setAttribute("visibility", "visible");
      const status = spec.status[n] === null ? "not run" : spec.statuses[spec.status[n]].replace("_", " ");
      return `${spec.x.label} ${shown(spec.across[i])}, ${spec.y.label} ${shown(spec.upward[j])}: ${status} after ${shown(spec.steps[n])} steps; error ${shown(spec.error[n])}; predicted rate ${shown(spec.rate[n])}`;
    };
    const within = (bounds, to, v) => {
      const middle = (k) => Math.abs((to(bounds[k]) + to(bounds[k + 1])) / 2 - v);
      let best = 0;
      for (let k = 1; k + 1 < bounds.length; k++) if (middle(k) < middle(best)) best = k;
      return best;
    };
    return { svg, count: spec.status.length, find: (x, y) => within(ey, py, y) * wide + within(ex, px, x), read, step: { ArrowRight: 1, ArrowLeft: -1, ArrowUp: wide, ArrowDown: -wide } };
  };

  const drawBars = (spec, width) => {
    const row = 46, height = row * spec.names.length + 12, longest = Math.max(...spec.values, 1e-9);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.alt });
    spec.names.forEach((name, k) => {
      const length = (spec.values[k] || 0) / longest * (width - 90);
      svg.append(make("text", { class: "name", x: 0, y: row * k + 16 }, name));
      svg.append(make("rect", { class: "cell c0", x: 0, y: row * k + 22, width: Math.max(1, length).toFixed(1), height: 14 }));
      svg.append(make("text", { x: length + 8, y: row * k + 34 }, shown(spec.values[k])));
    });
    return { svg, count: 0 };
  };

  const start = (spec) => {
    const plot = document.getElementById(spec.id), legend = document.getElementById(spec.id + "-legend"), readout = document.getElementById(spec.id + "-readout");
    const hidden = new Set(), draw = { lines: drawLines, grid: drawGrid, bars: drawBars }[spec.kind];
    let drawn, place = -1, width = 0;
    const go = (k) => { place = k; if (readout) readout.textContent = drawn.read(k); };
    const redraw = () => {
      const focused = drawn && document.activeElement === drawn.svg;
      drawn = draw(spec, width, hidden);
      place = -1;
      plot.replaceChildren(drawn.svg);
      if (!drawn.count) return;
      if (focused) drawn.svg.focus();
      drawn.svg.addEventListener("pointermove", (event) => {
        const box = drawn.svg.getBoundingClientRect(), scale = width / box.width;
        go(drawn.find((event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
      });
      drawn.svg.addEventListener("keydown", (event) => {
        const step = drawn.step[event.key];
        if (!step) return;
        event.preventDefault();
        go(Math.min(drawn.count - 1, Math.max(0, place < 0 ? 0 : place + step)));
      });
    };
    for (const entry of spec.legend || []) {
      const swatch = make("svg", { viewBox: "0 0 27 12", "aria-hidden": "true" });
      swatch.append(entry.box ? make("rect", { class: `cell ${entry.color}`, x: 7, y: 0, width: 12, height: 12 }) : make("path", { class: `line ${entry.color} d${entry.dash || 0}`, d: "M1 6H26" }));
      const button = html("button", { type: "button", "aria-pressed": "true" }, swatch, entry.label);
      button.addEventListener("click", () => {
        const off = !hidden.has(entry.group);
        if (off) hidden.add(entry.group); else hidden.delete(entry.group);
        button.setAttribute("aria-pressed", String(!off));
        redraw();
      });
      legend.append(html("li", {}, button));
    }
    const fit = () => {
      const now = Math.max(260, Math.round(plot.clientWidth));
      if (now !== width) { width = now; redraw(); }
    };
    fit();
    window.addEventListener("resize", fit);
  };

  for (const spec of JSON.parse(document.getElementById("figures").textContent)) start(spec);
})();
