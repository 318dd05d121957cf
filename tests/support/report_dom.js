// Just enough of a browser to run a report's script: node report_dom.js PAGE WIDTH
// Prints, as JSON, each figure's SVG, buttons, and what it reads out at a point and after keys.
"use strict";
const fs = require("fs");
const [page, width] = [fs.readFileSync(process.argv[2], "utf8"), Number(process.argv[3])];
const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

class Element {
  constructor(tag) { Object.assign(this, { tag, attributes: {}, children: [], listeners: {}, clientWidth: width }); }
  setAttribute(key, value) { this.attributes[key] = String(value); }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  addEventListener(type, listener) { this.listeners[type] = listener; }
  getBoundingClientRect() { return { left: 0, top: 0, width }; }
  focus() { document.activeElement = this; }
  set textContent(text) { this.children = [String(text)]; }
  get textContent() { return this.children.map((c) => c.textContent ?? c).join(""); }
  get markup() {
    const given = Object.entries(this.attributes).map(([k, v]) => ` ${k}="${escape(v)}"`).join("");
    return `<${this.tag}${given}>${this.children.map((c) => c.markup ?? escape(String(c))).join("")}</${this.tag}>`;
  }
}
const ids = {};
for (const [, id] of page.matchAll(/ id="([^"]*)"/g)) ids[id] = new Element("div");
ids.figures.textContent = page.match(/<script type="application\/json" id="figures">(.*?)<\/script>/s)[1];
globalThis.document = {
  activeElement: null,
  getElementById: (id) => ids[id] ?? null,
  querySelector: () => ({ namespaceURI: "svg" }),
  createElement: (tag) => new Element(tag),
  createElementNS: (_, tag) => new Element(tag),
};
globalThis.window = { addEventListener() {} };
eval(page.match(/<script>(.*?)<\/script>/s)[1]);

const figures = JSON.parse(ids.figures.textContent).map(({ id }) => {
  const svg = () => ids[id].children[0], readout = ids[id + "-readout"], buttons = ids[id + "-legend"].children.map((li) => li.children[0]);
  const drawn = svg().markup, told = [];
  if (svg().listeners.pointermove) {
    svg().listeners.pointermove({ clientX: width - 15, clientY: 50 });
    told.push(readout.textContent);
    svg().listeners.keydown({ key: "ArrowLeft", preventDefault() {} });
    told.push(readout.textContent);
  }
  for (const button of buttons) button.listeners.click();
  return { id, drawn, told, labels: buttons.map((b) => b.textContent), pressed: buttons.map((b) => b.attributes["aria-pressed"]), hidden: svg().markup };
});
console.log(JSON.stringify(figures));
