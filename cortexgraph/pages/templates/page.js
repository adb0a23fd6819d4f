"use strict";
(() => {
  const data = JSON.parse(document.querySelector("script.data").textContent);
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const [areasSvg, updatesSvg] = [one("figure.areas svg"), one("figure.updates svg")];
  const [slider, stepText, answer, clear] = [one(".slider"), one(".step"), one(".answer"), one(".clear")];
  const hint = [...answer.childNodes];

  // ---- the graph -------------------------------------------------------------

  const nodes = data.nodes.map(([key, kind, name, step, status, like, first, last, field], place) =>
    ({ key, kind, name, step, status, like, first, last, field, place, in: [], out: [] }));
  const edges = data.edges.map(([tail, head, connections, memory]) =>
    ({ tail, head, connections: connections.map((n) => data.connections[n]), memory }));
  for (const edge of edges) {
    nodes[edge.tail].out.push(edge);
    nodes[edge.head].in.push(edge);
  }
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const identifierOf = new Map(Object.entries({ ...data.inputs, ...data.areas }).map(([identifier, name]) => [name, identifier]));
  const updatesOf = new Map(Object.values(data.areas).map((name) => [name, []]));
  for (const node of nodes) if (node.kind === "update") updatesOf.get(node.name).push(node);
  const height = new Map([...Object.values(data.inputs), ...Object.values(data.areas)].map((name, n) => [name, n]));
  const rank = { feedforward: 0, lateral: 1, feedback: 2 };
  for (const node of nodes) node.in.sort((a, b) => (rank[a.connections[0]?.kind] ?? 3) - (rank[b.connections[0]?.kind] ?? 3));
  const live = (node) => node.status !== "silent";

  /** All nodes from which a live path leads to these ("in"), or to which one leads ("out"). */
  function cone(starts, direction) {
    const found = new Set(starts);
    const waiting = [...found];
    while (waiting.length) {
      for (const edge of nodes[waiting.pop()][direction]) {
        const next = direction === "in" ? edge.tail : edge.head;
        if (!found.has(next) && live(nodes[next])) { found.add(next); waiting.push(next); }
      }
    }
    for (const start of starts) found.delete(start);
    return found;
  }

  /** The nodes of a shortest path from one node to the nearest of some kind, or null. */
  function pathTo(start, kind) {
    const before = new Map([[start, null]]);
    const waiting = [start];
    while (waiting.length) {
      const place = waiting.shift();
      if (nodes[place].kind === kind) {
        const path = [];
        for (let at = place; at !== null; at = before.get(at)) path.unshift(nodes[at]);
        return path;
      }
      for (const edge of nodes[place].out) {
        if (!before.has(edge.head) && live(nodes[edge.head])) { before.set(edge.head, place); waiting.push(edge.head); }
      }
    }
    return null;
  }

  // ---- words -----------------------------------------------------------------

  function ranges(steps) {
    const runs = [];
    for (const step of [...new Set(steps)].sort((a, b) => a - b)) {
      const run = runs[runs.length - 1];
      if (run && step === run[1] + 1) run[1] = step; else runs.push([step, step]);
    }
    return runs.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(", ");
  }

  const called = (node) => (node.kind === "readout" ? `the readout at step ${node.step}` : `${node.name}@${node.step}`);

  /** A paragraph of texts and nodes; nodes become links. */
  function paragraph(...parts) {
    const p = document.createElement("p");
    for (const part of parts.flat(Infinity)) {
      if (typeof part === "string") { p.append(part); continue; }
      if (part instanceof Node) { p.append(part); continue; }
      const link = document.createElement("a");
      link.textContent = part.text || called(part);
      link.addEventListener("click", () => (part.lines ? showLines(part.lines) : select(part.key)));
      p.append(link);
    }
    return p;
  }

  const joined = (parts, sign = ", ") => parts.flatMap((part, n) => (n ? [sign, part].flat() : [part].flat()));

  /** Nodes by area: `V1 at steps 1–3, V2 at step 2`. */
  function gathered(places) {
    const steps = new Map();
    for (const place of places) {
      const { name, step, kind } = nodes[place];
      if (kind === "readout" || kind === "record") continue;
      if (!steps.has(name)) steps.set(name, []);
      steps.get(name).push(step);
    }
    const low = [...steps].sort(([a], [b]) => height.get(a) - height.get(b));
    return low.map(([name, at]) => `${name} at step${new Set(at).size > 1 ? "s" : ""} ${ranges(at)}`).join(", ");
  }

  /** A long path without its middle. */
  const shortened = (path) => (path.length <= 12 ? path : [...path.slice(0, 5), `… ${path.length - 10} more …`, ...path.slice(-5)]);

  /** What is read, those that are read alike together: `V2@4, V3@4 (feedforward: 3 × 3 conv)`. */
  function readings(inputs) {
    const alike = new Map();
    for (const edge of inputs) {
      const how = edge.connections.map((c) =>
        `${c.modulates ? "modulating " : ""}${c.kind}${c.delay ? `, delay ${c.delay}` : ""}: ${c.does}`);
      if (edge.memory) how.push("its own old state, which the cell remembers");
      const text = how.join("; ");
      if (!alike.has(text)) alike.set(text, []);
      alike.get(text).push(nodes[edge.tail]);
    }
    return joined([...alike].map(([text, sources]) => [joined(sources), text ? ` (${text})` : ""]), "; ");
  }

  const STATUS = {
    executed: "It is computed.",
    silent: "It is silent (⊥): nothing live drives it.",
    unread: "It would be live, but it is never computed, because no readout depends on it.",
  };

  function told(node) {
    const found = [];
    const own = node.first ? { text: node.first === node.last ? `line ${node.first}` : `lines ${node.first}–${node.last}`, lines: [node.first, node.last] } : null;
    const status = node.like !== null && node.like !== undefined
      ? ["It has the same value as ", nodes[node.like], " for a static image, and is not computed again."]
      : [STATUS[node.status] || ""];
    const head = document.createElement("b");
    head.textContent = node.kind === "readout" ? `Readout ${node.name} at step ${node.step}` : `${node.name} at step ${node.step}`;
    const first = paragraph(" ", node.kind === "update" ? status : "", own ? [" See ", own, " of the source."] : "",
      node.field ? ` Its units see ${node.field}${node.field.endsWith("pixels") ? " of the image" : ""}.` : "");
    first.prepend(head, ".");
    found.push(first);
    if (!live(node)) {
      const later = updatesOf.get(node.name)?.find(live);
      found.push(paragraph(later ? [`${node.name} first responds at step ${later.step}: `, later, "."] : `${node.name} never responds.`));
      return found;
    }
    if (node.kind !== "readout") found.push(verdict(node));
    const inputs = node.in.filter((edge) => live(nodes[edge.tail]));
    const before = cone([node.place], "in");
    if (node.kind !== "image") {
      const verb = node.kind === "readout" ? "Reads " : "Driven by ";
      found.push(paragraph(inputs.length ? [swatch("before"), verb, readings(inputs), "."] : "Nothing drives it."));
      if (before.size > inputs.length) found.push(paragraph(`In all it depends on ${gathered(before)}.`));
    }
    const readers = node.out.map((edge) => nodes[edge.head]).filter(live);
    const [computed, idle] = [readers.filter((other) => other.status !== "unread"), readers.filter((other) => other.status === "unread")];
    if (readers.length) {
      found.push(paragraph(swatch("after"), computed.length ? ["Read by ", joined(computed)] : "Read by nothing that is computed",
        idle.length ? ["; ", joined(idle), ` would read it too, but ${idle.length > 1 ? "are" : "is"} never computed`] : "", "."));
    }
    return found;
  }

  /** A small box in the colour of what lies before, or after. */
  function swatch(kind) {
    const box = document.createElement("span");
    box.className = `key ${kind}`;
    return box;
  }

  /** Whether anything of an update reaches a readout, and how. */
  function verdict(node) {
    const path = pathTo(node.place, "readout");
    if (!path) return paragraph("Nothing of it reaches a readout.");
    const read = [...cone([node.place], "out")].map((place) => nodes[place]).filter((other) => other.kind === "readout");
    const steps = path[path.length - 1].step - node.step;
    return paragraph("It reaches a readout: ", joined(shortened(path), " → "), ` (${steps} step${steps === 1 ? "" : "s"}).`,
      read.length > 1 ? ` In all ${read.length} readouts depend on it, at steps ${ranges(read.map((r) => r.step))}.` : "");
  }

  // ---- showing ---------------------------------------------------------------

  const partIn = (svg, id) => (svg ? svg.querySelector(`[id="${CSS.escape(id)}"]`) : null);
  const edgeParts = new Map(all("g.edge", updatesSvg).map((part) => [part.id, part]));
  const nodeParts = new Map(all("g.node", updatesSvg).map((part) => [part.id, part]));

  function wipe() {
    for (const svg of [areasSvg, updatesSvg]) {
      svg.classList.remove("focus");
      for (const part of all(".on, .it, .before, .after", svg)) part.classList.remove("on", "it", "before", "after");
    }
    for (const part of all(".line.it, tr.it")) part.classList.remove("it");
  }

  /** Light up nodes and what lies before and after them, in both pictures. */
  function light(starts) {
    wipe();
    const before = cone(starts, "in");
    const after = cone(starts, "out");
    const own = new Set(starts);
    updatesSvg.classList.add("focus");
    areasSvg.classList.add("focus");
    const mark = (place, kind) => {
      const { key, name, kind: what } = nodes[place];
      nodeParts.get(key)?.classList.add("on", kind);
      const id = ["update", "image"].includes(what) ? identifierOf.get(name) : key.replace(/@\d+$/, "");
      const area = partIn(areasSvg, id);
      area?.classList.add("on");
      if (kind === "it" || !area?.classList.contains("it")) area?.classList.add(kind);
    };
    for (const place of before) mark(place, "before");
    for (const place of after) mark(place, "after");
    for (const place of starts) mark(place, "it");
    const lit = (place, cone) => own.has(place) || cone.has(place);
    for (const edge of edges) {
      const upstream = lit(edge.tail, before) && lit(edge.head, before);
      const downstream = lit(edge.tail, after) && lit(edge.head, after);
      if (!(upstream || downstream) || !live(nodes[edge.tail])) continue;
      edgeParts.get(`${nodes[edge.tail].key}->${nodes[edge.head].key}`)?.classList.add("on");
      for (const connection of edge.connections) partIn(areasSvg, `${connection.id}-arrow`)?.classList.add("on");
      if (nodes[edge.head].kind === "readout") partIn(areasSvg, `${nodes[edge.head].key.replace(/@\d+$/, "")}-arrow`)?.classList.add("on");
    }
  }

  // A choice stays until it is cleared; without one, what the pointer is over is lit.
  let chosen = false;
  let hovering = 0;

  function choose() {
    clearTimeout(hovering);
    chosen = true;
    clear.hidden = false;
  }

  function hover(svg, startsOf) {
    svg.addEventListener("pointerover", (event) => {
      const part = event.target.closest("g.node");
      clearTimeout(hovering);
      if (chosen) return;
      const starts = part ? startsOf(part.id) : [];
      hovering = setTimeout(() => (starts.length ? light(starts) : wipe()), 60);
    });
    svg.addEventListener("pointerleave", () => {
      clearTimeout(hovering);
      if (!chosen) wipe();
    });
  }

  function showLines([first, last], scroll = true) {
    for (let n = first; n <= last; n++) one(`.line[data-line="${n}"]`)?.classList.add("it");
    const line = one(`.line[data-line="${first}"]`);
    if (!line) return;
    const box = line.parentElement;
    box.scrollTop = line.offsetTop - box.clientHeight / 3;
    if (scroll) box.scrollIntoView({ block: "nearest" });
  }

  function say(...parts) {
    answer.replaceChildren(...parts.flat());
    answer.scrollTop = 0;
  }

  function select(id) {
    const node = byKey.get(id);
    if (!node) return;
    choose();
    light([node.place]);
    say(told(node));
    if (node.first) showLines([node.first, node.last], false);
    if (node.kind === "update") one(`tr[data-area="${CSS.escape(identifierOf.get(node.name))}"]`)?.classList.add("it");
    into(nodeParts.get(id));
    history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  }

  function selectArea(identifier) {
    const name = data.areas[identifier];
    const step = Number(slider.value);
    const updates = updatesOf.get(name) || [];
    if (step) {
      const now = updates.filter((node) => node.step === step);
      if (now.length) { select(now[now.length - 1].key); return; }
    }
    choose();
    light(updates.filter(live).map((node) => node.place));
    one(`tr[data-area="${CSS.escape(identifier)}"]`)?.classList.add("it");
    const head = document.createElement("b");
    head.textContent = `${name}. `;
    const lines = [paragraph(statusSteps(updates))];
    lines[0].prepend(head);
    const incoming = data.connections.filter((c) => c.target === name);
    const outgoing = data.connections.filter((c) => c.source === name);
    lines.push(paragraph(`Receives from ${incoming.map((c) => `${c.source} (${c.modulates ? "modulating " : ""}${c.kind})`).join(", ") || "nothing"}; `
      + `sends to ${outgoing.map((c) => `${c.target} (${c.kind})`).join(", ") || "no area"}.`));
    lines.push(paragraph("Its updates: ", joined(updates.filter(live).slice(0, 60)), updates.filter(live).length > 60 ? ", …" : "."));
    say(lines);
  }

  function statusSteps(updates) {
    const words = [["executed", "Computed at step"], ["held", "held at step"], ["shared", "equal to an earlier update at step"], ["unread", "live but never read at step"], ["silent", "silent at step"]];
    const found = words.flatMap(([status, text]) => {
      const steps = updates.filter((node) => node.status === status).map((node) => node.step);
      return steps.length ? [`${text}${new Set(steps).size > 1 ? "s" : ""} ${ranges(steps)}`] : [];
    });
    return `${found.join("; ")}.`;
  }

  function selectConnection(identifier) {
    const connection = data.connections.find((c) => c.id === identifier);
    if (!connection) return;
    choose();
    wipe();
    updatesSvg.classList.add("focus");
    areasSvg.classList.add("focus");
    const reads = edges.filter((edge) => edge.connections.includes(connection) && live(nodes[edge.tail]));
    for (const edge of reads) {
      const [tail, head] = [nodes[edge.tail], nodes[edge.head]];
      edgeParts.get(`${tail.key}->${head.key}`)?.classList.add("on");
      nodeParts.get(tail.key)?.classList.add("on", "before");
      nodeParts.get(head.key)?.classList.add("on", "after");
    }
    partIn(areasSvg, `${identifier}-arrow`)?.classList.add("on");
    for (const [name, kind] of [[connection.source, "before"], [connection.target, "after"]]) {
      partIn(areasSvg, identifierOf.get(name))?.classList.add("on", kind);
    }
    one(`tr[data-connection="${CSS.escape(identifier)}"]`)?.classList.add("it");
    const head = document.createElement("b");
    head.textContent = `${connection.source} → ${connection.target}. `;
    const text = paragraph(`${connection.modulates ? "Modulating " : ""}${connection.kind}${connection.delay ? `, delay ${connection.delay}` : ""}: ${connection.does}. `,
      reads.length ? `It carries a signal into ${connection.target} at step${reads.length > 1 ? "s" : ""} ${ranges(reads.map((edge) => nodes[edge.head].step))}.` : "It never carries a signal.");
    text.prepend(head);
    say(text);
  }

  function reset() {
    chosen = false;
    wipe();
    say(hint);
    clear.hidden = true;
    history.replaceState(null, "", location.pathname + location.search);
  }

  // ---- the slider ------------------------------------------------------------

  /** Scroll the picture of updates so that a part of it can be seen. */
  function into(part, upright = true) {
    if (!part) return;
    if (!unfold.hidden && part.getBoundingClientRect().right > updatesSvg.getBoundingClientRect().right) crop(whole[2]);
    const box = one("figure.updates");
    const [at, frame] = [part.getBoundingClientRect(), box.getBoundingClientRect()];
    if (at.left < frame.left || at.right > frame.right) box.scrollLeft += at.left - frame.left - frame.width / 2 + at.width / 2;
    if (upright && (at.top < frame.top || at.bottom > frame.bottom)) box.scrollTop += at.top - frame.top - frame.height / 2 + at.height / 2;
  }

  const WORDS = ["executed", "held", "shared", "silent", "unread"];

  function showStep() {
    const step = Number(slider.value);
    for (const part of all(".cluster.now", updatesSvg)) part.classList.remove("now");
    for (const part of all("g.node", areasSvg)) part.classList.remove(...WORDS, "absent");
    if (!step) { stepText.textContent = `all ${data.steps}`; return; }
    const band = partIn(updatesSvg, `updates-step-${step}`);
    band?.classList.add("now");
    into(band, false);
    const now = new Map();
    for (const node of nodes) if (node.kind === "update" && node.step === step) now.set(node.name, node.status);
    for (const [name, identifier] of identifierOf) partIn(areasSvg, identifier)?.classList.add(now.get(name) || "absent");
    const words = WORDS.flatMap((status) => {
      const names = [...now].filter(([, found]) => found === status).map(([name]) => name);
      return names.length ? [`${status}: ${names.join(", ")}`] : [];
    });
    stepText.textContent = `${step} of ${data.steps} · ${words.join(" · ")}`;
  }

  // ---- events ----------------------------------------------------------------

  function connectionOf(part) {
    const word = [...part.classList].find((name) => name.startsWith("connection-"));
    return word ? word.slice("connection-".length) : null;
  }

  hover(updatesSvg, (id) => (byKey.has(id) ? [byKey.get(id).place] : []));
  hover(areasSvg, (id) => (id in data.areas ? updatesOf.get(data.areas[id]).filter(live).map((node) => node.place) : []));
  updatesSvg.addEventListener("click", (event) => {
    const part = event.target.closest("g.node, g.edge");
    if (part?.classList.contains("edge") && connectionOf(part)) selectConnection(connectionOf(part));
    else if (part && byKey.has(part.id)) select(part.id);
  });
  areasSvg.addEventListener("click", (event) => {
    const part = event.target.closest("g.node, g.edge");
    if (!part) return;
    if (part.classList.contains("edge")) { if (connectionOf(part)) selectConnection(connectionOf(part)); }
    else if (part.id in data.areas) selectArea(part.id);
  });
  for (const [svg, ids] of [[updatesSvg, byKey], [areasSvg, new Map(Object.entries(data.areas))]]) {
    for (const part of all("g.node", svg)) {
      if (!ids.has(part.id)) continue;
      part.setAttribute("tabindex", "0");
      part.setAttribute("role", "button");
      part.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); part.dispatchEvent(new MouseEvent("click", { bubbles: true })); }
      });
    }
  }
  // Arrows are thin and dashed: an invisible wide line along each one takes the clicks.
  for (const part of [...all("g.edge:not(.legend)", areasSvg), ...all("g.edge:not(.legend)", updatesSvg)]) {
    const path = one("path", part);
    if (!path) continue;
    const wide = path.cloneNode();
    wide.removeAttribute("stroke-dasharray");
    wide.setAttribute("class", "hit");
    part.append(wide);
  }
  const ofLine = new Map();
  for (const node of nodes) {
    if (!node.first) continue;
    for (let n = node.first; n <= node.last; n++) {
      if (!ofLine.has(n)) ofLine.set(n, []);
      ofLine.get(n).push(node);
    }
  }
  for (const n of ofLine.keys()) one(`.line[data-line="${n}"]`)?.classList.add("update");
  one("pre.source").addEventListener("click", (event) => {
    const line = event.target.closest(".line");
    const found = line ? ofLine.get(Number(line.dataset.line)) : null;
    if (!found || String(getSelection())) return;
    const now = found.find((node) => node.step === Number(slider.value)) || found[0];
    select(now.key);
    one("section.graphs").scrollIntoView({ block: "start" });
  });
  for (const row of all("tr[data-area]")) row.addEventListener("click", () => { selectArea(row.dataset.area); one("section.graphs").scrollIntoView(); });
  for (const row of all("tr[data-connection]")) row.addEventListener("click", () => { selectConnection(row.dataset.connection); one("section.graphs").scrollIntoView(); });
  // Long unrollings are cut after some steps until all are asked for.
  const MANY = 24;
  const whole = updatesSvg.getAttribute("viewBox").split(" ").map(Number);
  const [fullWidth, unit] = [parseFloat(updatesSvg.getAttribute("width")), updatesSvg.getAttribute("width").replace(/[\d.]+/, "")];
  const unfold = one(".unfold");

  function crop(width) {
    updatesSvg.setAttribute("viewBox", [whole[0], whole[1], width, whole[3]].join(" "));
    updatesSvg.setAttribute("width", `${(fullWidth * width) / whole[2]}${unit}`);
    unfold.hidden = width === whole[2];
  }

  if (data.steps > MANY) {
    const band = one("polygon, path", partIn(updatesSvg, `updates-step-${MANY}`)).getBBox();
    const shift = one("g.graph", updatesSvg).transform.baseVal.consolidate().matrix.e;
    unfold.textContent = `Show all ${data.steps} steps`;
    crop(band.x + band.width + shift);
  }
  unfold.addEventListener("click", () => crop(whole[2]));

  // A picture that is little higher than its frame is shown smaller; a much higher one scrolls.
  const [natural, room] = [updatesSvg.getBoundingClientRect().height, one("figure.updates").clientHeight - 4];
  if (natural > room) updatesSvg.style.height = `${Math.max(room, 0.72 * natural)}px`;

  /** Magnify the picture of updates; without a factor, fit it into its frame. */
  function zoom(factor) {
    const frame = one("figure.updates");
    const { width, height } = updatesSvg.getBoundingClientRect();
    const scale = factor || Math.min((frame.clientWidth - 4) / width, (frame.clientHeight - 4) / height);
    updatesSvg.style.height = `${Math.max(80, Math.min(20000, height * scale))}px`;
  }

  /** Drag a picture with the mouse; fingers scroll it by themselves. A drag is not a click. */
  for (const frame of all("figure")) {
    let from = null;
    let dragged = false;
    frame.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button || event.target.closest("button")) return;
      from = [event.clientX + frame.scrollLeft, event.clientY + frame.scrollTop, event.clientX, event.clientY];
      dragged = false;
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      dragged ||= Math.hypot(event.clientX - from[2], event.clientY - from[3]) > 4;
      if (dragged) frame.scrollTo(from[0] - event.clientX, from[1] - event.clientY);
      frame.classList.toggle("dragged", dragged);
    });
    addEventListener("pointerup", () => { from = null; frame.classList.remove("dragged"); });
    frame.addEventListener("click", (event) => { if (dragged) event.stopPropagation(); dragged = false; }, true);
    frame.addEventListener("dragstart", (event) => event.preventDefault());
  }

  /** Save a picture as it is shown, with what is lit. */
  function download(svg, name) {
    const copy = svg.cloneNode(true);
    for (const part of all(".hit", copy)) part.remove();
    const rules = [...document.styleSheets[0].cssRules].filter((rule) => /\bsvg\b/.test(rule.selectorText || ""));
    const style = document.createElementNS(copy.namespaceURI, "style");
    style.textContent = rules.map((rule) => rule.cssText.replace(/figure(\.\w+)? (?=svg)/g, "")).join("\n");
    copy.style.height = "";
    copy.prepend(style);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
    link.download = `${document.title.split(" – ")[0].replace(/[^\w-]+/g, "_")}-${name}.svg`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  one(".save-areas").addEventListener("click", () => download(areasSvg, "areas"));
  one(".save-updates").addEventListener("click", () => download(updatesSvg, "updates"));

  /** Choose what a text names: `V4@3` or an area. */
  function search(text) {
    const [name, step] = text.trim().split("@");
    const area = [...identifierOf.keys()].find((other) => other.toLowerCase() === name.toLowerCase());
    const node = nodes.find((other) => other.name === (area || name) && String(other.step) === step);
    if (node) select(node.key); else if (area) selectArea(identifierOf.get(area));
    return Boolean(node || area);
  }

  function moveStep(by) {
    slider.value = String(Number(slider.value) + by);
    showStep();
  }

  one(".zoom-in").addEventListener("click", () => zoom(1.25));
  one(".zoom-out").addEventListener("click", () => zoom(0.8));
  one(".zoom-fit").addEventListener("click", () => zoom());
  one(".search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.target.setCustomValidity(search(event.target.value) ? "" : "no such area or update");
    event.target.reportValidity();
  });
  one(".search").addEventListener("input", (event) => event.target.setCustomValidity(""));
  const KEYS = { ArrowRight: () => moveStep(1), ArrowLeft: () => moveStep(-1), "+": () => zoom(1.25), "-": () => zoom(0.8), 0: () => zoom() };
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  slider.max = String(data.steps);
  slider.addEventListener("input", showStep);
  clear.addEventListener("click", reset);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") reset(); });
  showStep();
  if (location.hash.length > 1) select(decodeURIComponent(location.hash.slice(1)));
})();
