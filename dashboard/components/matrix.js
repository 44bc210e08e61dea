// Draws the coverage matrix from data and reports the cell that was chosen. Texts are set as text, never as HTML.
const element = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const drawCell = (cell, chosen, choose) => {
  const symbol = element("b", { textContent: cell.symbol });
  symbol.setAttribute("aria-hidden", "true");
  const button = element("button", { type: "button", title: cell.told, className: cell.calm ? "calm" : "" }, [symbol, " " + cell.word]);
  button.style.setProperty("--tone", cell.colour);
  button.dataset.key = cell.key;
  button.setAttribute("aria-label", cell.told);
  button.setAttribute("aria-pressed", String(cell.key === chosen));
  button.onclick = () => choose(cell.key);
  return element("td", {}, [button]);
};

const drawModule = (module, data, choose) => {
  const heads = [module.name, ...data.kinds].map((words) => element("th", { textContent: words, title: words, scope: "col" }));
  const rows = module.concepts.map((concept) => element("tr", {}, [
    element("th", { textContent: concept.name, title: concept.name, scope: "row" }),
    ...concept.cells.map((cell) => drawCell(cell, data.chosen, choose)),
  ]));
  return element("table", {}, [
    element("thead", {}, [element("tr", {}, heads)]),
    element("tbody", {}, rows),
  ]);
};

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".modules");
  const drawn = JSON.stringify(data);
  if (root.dataset.drawn === drawn) return;
  root.dataset.drawn = drawn;
  const focused = parentElement.activeElement?.dataset?.key;
  const choose = (key) => setTriggerValue("chosen", key);
  root.replaceChildren(...data.stages.flatMap((stage) => [
    element("div", { className: "stage", textContent: stage.name }),
    ...stage.modules.map((module) => drawModule(module, data, choose)),
  ]));
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}
