// Draws novels from data: one that did not change is left alone, so nothing flickers. Texts are set as text, never as HTML.
const SHOWN = 3; // broken chapters of a novel; the others are folded away

const element = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(Boolean));
  return made;
};

const hidden = (node) => (node.setAttribute("aria-hidden", "true"), node);

const drawSquare = (square) => {
  const link = element("a", { href: square.address, className: `square ${square.state}`, title: square.told, tabIndex: -1 }, [
    hidden(element("b", { textContent: square.symbol })), hidden(element("small", { textContent: square.number }))]);
  link.setAttribute("aria-label", square.told);
  link.style.setProperty("--tone", square.colour);
  link.dataset.number = square.number;
  link.dataset.key = square.key;
  return link;
};

const drawBroken = (broken, title, words, list) => {
  const box = element("input", { type: "checkbox" });
  box.setAttribute("aria-label", words.one.replace("{number}", broken.number).replace("{title}", title));
  box.dataset.key = broken.key;
  box.onchange = () => list.mark([broken.key], box.checked);
  const state = element("span", { className: "state", textContent: `${broken.symbol} ${broken.word}` });
  state.style.color = broken.colour;
  return element("li", {}, [
    box, element("a", { className: "name", href: broken.address, textContent: broken.name }), state,
    element("span", { className: "why", textContent: broken.why, title: broken.why }),
    element("span", { className: "facts", textContent: broken.facts })]);
};

const drawNovel = (novel, words, list) => {
  const all = element("input", { type: "checkbox", className: "all" });
  all.setAttribute("aria-label", words.all.replace("{title}", novel.title));
  all.onchange = () => list.mark(novel.broken.map((broken) => broken.key), all.checked);
  const strip = element("div", { className: "strip" }, novel.strip.map(drawSquare));
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", words.strip.replace("{title}", novel.title));
  if (strip.firstChild) strip.firstChild.tabIndex = 0;
  const lines = novel.broken.map((broken) => drawBroken(broken, novel.title, words, list));
  const folded = lines.slice(SHOWN);
  const more = folded.length > 0 && element("details", { open: list.unfolded.has(novel.id) }, [
    element("summary", { textContent: words.more.replace("{count}", folded.length) }), element("ul", {}, folded)]);
  if (more) more.ontoggle = () => list.unfolded[more.open ? "add" : "delete"](novel.id);
  const drawn = element("article", { className: "novel" }, [
    element("header", {}, [
      novel.broken.length ? all : null, element("span", { className: "title", textContent: novel.title, title: novel.title }),
      element("span", { className: "told", textContent: novel.told }),
      novel.count ? element("span", { className: "count", textContent: novel.count }) : null]),
    strip, lines.length ? element("ul", {}, lines.slice(0, SHOWN)) : null, more || null]);
  drawn.setAttribute("role", "listitem");
  drawn.dataset.id = novel.id;
  return drawn;
};

// One stop of the tab key for each strip; arrows go along it and from novel to novel, x chooses the chapter that has the focus.
const steer = (event, root, list) => {
  const square = event.target.closest(".square");
  if (!square || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "x") {
    if (square.dataset.key) list.mark([square.dataset.key], !list.marked.has(square.dataset.key));
    return;
  }
  const strip = square.parentElement;
  const at = [...strip.children].indexOf(square);
  const strips = [...root.querySelectorAll(".strip")];
  const other = (step) => strips[strips.indexOf(strip) + step]?.children;
  const next = {
    ArrowRight: () => strip.children[at + 1], ArrowLeft: () => strip.children[at - 1], Home: () => strip.firstChild, End: () => strip.lastChild,
    ArrowDown: () => { const squares = other(1); return squares?.[Math.min(at, squares.length - 1)]; },
    ArrowUp: () => { const squares = other(-1); return squares?.[Math.min(at, squares.length - 1)]; },
  }[event.key]?.();
  if (!next) return;
  event.preventDefault();
  for (const each of next.parentElement.children) each.tabIndex = each === next ? 0 : -1;
  next.focus();
};

const showMarks = (root, list) => {
  for (const box of root.querySelectorAll("li input")) box.checked = list.marked.has(box.dataset.key);
  for (const square of root.querySelectorAll(".square")) square.classList.toggle("marked", list.marked.has(square.dataset.key));
  for (const novel of root.querySelectorAll(".novel")) {
    const boxes = [...novel.querySelectorAll("li input")];
    const count = boxes.filter((box) => box.checked).length;
    const all = novel.querySelector(".all");
    if (all) Object.assign(all, { checked: count > 0 && count === boxes.length, indeterminate: count > 0 && count < boxes.length });
  }
};

// Where the focus is, in words that survive a redrawn novel.
const focusOf = (root) => {
  const focused = root.getRootNode().activeElement ?? document.activeElement;
  const id = root.contains(focused) && focused.closest(".novel")?.dataset.id;
  if (!id) return null;
  const name = focused.dataset.number ? `.square[data-number="${focused.dataset.number}"]`
    : focused.dataset.key ? `input[data-key="${CSS.escape(focused.dataset.key)}"]` : focused.matches("summary") ? "summary" : ".all";
  return { focused, id, name };
};

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".novels");
  const list = (root.list ??= { marked: new Set(), drawn: new Map(), unfolded: new Set(), generation: null });
  // What was marked here is ahead of what the server has heard of; it decides until the page turns or the selection is cleared.
  const page = data.novels.map((novel) => novel.id).join("\n");
  if (list.generation !== data.generation || list.page !== page) {
    Object.assign(list, { marked: new Set(data.marked), generation: data.generation, page });
  }
  const markable = new Set(data.novels.flatMap((novel) => novel.broken.map((broken) => broken.key)));
  list.marked = new Set([...list.marked].filter((key) => markable.has(key)));
  list.mark = (keys, isMarked) => {
    for (const key of keys) list.marked[isMarked ? "add" : "delete"](key);
    showMarks(root, list);
    setStateValue("marked", [String(data.generation), ...list.marked]);  // the same marks after a cleared selection are a change too
  };
  root.onkeydown = (event) => steer(event, root, list);
  const before = list.drawn;
  const focus = focusOf(root);
  list.drawn = new Map(data.novels.map((novel) => {
    const told = JSON.stringify(novel);
    const known = before.get(novel.id);
    return [novel.id, known?.told === told ? known : { told, node: drawNovel(novel, data.words, list) }];
  }));
  const nodes = [...list.drawn.values()].map((known) => known.node);
  if (nodes.length !== root.children.length || nodes.some((node, at) => root.children[at] !== node)) {
    root.replaceChildren(...nodes);
    const lost = focus && !(root.contains(focus.focused) && root.getRootNode().activeElement === focus.focused);
    if (lost) list.drawn.get(focus.id)?.node.querySelector(focus.name)?.focus({ preventScroll: true });
  }
  showMarks(root, list);
}
