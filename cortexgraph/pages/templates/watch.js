"use strict";
(() => {
  const [status, text, frame] = ["p.status", "section.text", "iframe"].map((name) => document.querySelector(name));
  let [version, picture] = [-1, -1];

  function element(name, kind, ...parts) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    made.append(...parts);
    return made;
  }

  /** Every line of the spec, each finding below its line, and first those that have none. */
  function showText({ name, lines, findings }) {
    const said = (line) => findings.filter((each) => each.line === line).map((each) => element("p", each.severity, each.text));
    const rows = lines.flatMap((line, n) => [element("div", "", element("i", "", String(n + 1)), line), ...said(n + 1)]);
    const beyond = findings.filter((each) => !each.line || each.line > lines.length).map((each) => element("p", each.severity, each.text));
    text.replaceChildren(...beyond, ...rows);
    text.hidden = !findings.length;
    text.querySelector("p")?.scrollIntoView({ block: "center" });
    const errors = findings.filter((each) => each.severity === "error").length;
    status.className = `status ${errors ? "bad" : findings.length ? "warn" : ""}`;
    status.textContent = `${name}: ${findings.length ? findings.length + " finding" + (findings.length > 1 ? "s" : "") : "fine"}${errors ? "; the picture is that of the last spec without errors" : ""}`;
    document.title = `${errors ? "✗ " : ""}${name} – cortexgraph`;
  }

  /** Show the new page at the place, and with the choice, of the old one. */
  function showPicture(number) {
    const { location, scrollX, scrollY } = frame.contentWindow;
    const hash = picture < 0 ? "" : location.hash;
    frame.onload = () => frame.contentWindow.scrollTo(scrollX, scrollY);
    frame.src = `page?${number}${hash}`;
    picture = number;
  }

  async function ask() {
    try {
      const state = await (await fetch("state")).json();
      if (state.picture !== picture) showPicture(state.picture);
      if (state.version !== version) showText(state);
      version = state.version;
    } catch {
      status.className = "status bad";
      status.textContent = "The server has stopped.";
      version = -1;
    }
    setTimeout(ask, 400);
  }
  ask();
})();
