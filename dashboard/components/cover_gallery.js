// Draws the gallery from data: cards that did not change are left alone, so no picture flickers. Texts are set as text, never as HTML.
const element = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(Boolean));
  return made;
};

const drawPicture = (card, words) => {
  const frame = element("div", { className: "frame" });
  if (card.picture) {
    const image = element("img", { src: card.picture, alt: card.alt, loading: "lazy", decoding: "async", width: 400, height: 210 });
    image.onerror = () => image.replaceWith(element("span", { className: "none", textContent: words.unseen }));
    frame.append(image);
  } else {
    const none = element("span", { className: "none", textContent: card.symbol });
    none.setAttribute("aria-hidden", "true");
    frame.append(none);
  }
  return frame;
};

const drawState = (card) => {
  const state = element("span", { className: "state", textContent: `${card.symbol} ${card.word}` });
  state.style.color = card.colour;
  return state;
};

const drawCredit = (card) => {
  if (!card.credit) return null;
  if (!card.credit_url) return element("span", { className: "credit", textContent: card.credit });
  return element("a", { className: "credit", textContent: card.credit, href: card.credit_url, target: "_blank", rel: "noopener noreferrer nofollow" });
};

const drawCard = (card, words, gallery) => {
  const open = element("button", { type: "button", className: "open" }, [
    drawPicture(card, words), element("span", { className: "title", textContent: card.title, title: card.title })]);
  open.setAttribute("aria-label", words.open.replace("{title}", card.title) + `: ${card.word}` + (card.why ? `. ${card.why}` : ""));
  open.onclick = () => gallery.open(card.id);
  const line = element("div", { className: "line" }, [drawState(card)]);
  if (card.may_mark) {
    const box = element("input", { type: "checkbox", checked: gallery.marked.has(card.id) });
    box.setAttribute("aria-label", words.mark.replace("{title}", card.title));
    box.onchange = () => gallery.mark(card.id, box.checked);
    line.prepend(box);
  }
  if (card.is_sample) line.append(element("span", { className: "sample", textContent: words.sample }));
  line.append(...[drawCredit(card)].filter(Boolean));
  const drawn = element("article", { className: card.is_making ? "card making" : "card" }, [
    open, line, card.why ? element("p", { className: "why", textContent: card.why, title: card.why }) : null]);
  drawn.setAttribute("role", "listitem");
  drawn.dataset.id = card.id;
  drawn.style.setProperty("--tone", card.colour);
  return drawn;
};

// Arrows go from card to card, x marks the one that has the focus.
const steer = (event, root, gallery) => {
  const cards = [...root.querySelectorAll(".card")];
  const at = cards.findIndex((card) => card.contains(event.target));
  if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "x") {
    const box = cards[at].querySelector("input");
    if (box) { box.checked = !box.checked; gallery.mark(cards[at].dataset.id, box.checked); }
    return;
  }
  const columns = getComputedStyle(root).gridTemplateColumns.split(" ").length;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const next = step && cards[at + step];
  if (!next) return;
  event.preventDefault();
  next.querySelector(".open").focus();
};

export default function ({ parentElement, data, setTriggerValue, setStateValue }) {
  const root = parentElement.querySelector(".covers");
  const gallery = (root.gallery ??= { marked: new Set(), drawn: new Map(), generation: null });
  // What was marked here is ahead of what the server has heard of; it decides until the selection is cleared there.
  const page = data.cards.map((card) => card.id).join("\n");
  if (gallery.generation !== data.generation || gallery.page !== page) {
    gallery.marked = new Set(data.cards.filter((card) => card.is_marked).map((card) => card.id));
    gallery.generation = data.generation;
    gallery.page = page;
  }
  const markable = new Set(data.cards.filter((card) => card.may_mark).map((card) => card.id));
  gallery.marked = new Set([...gallery.marked].filter((id) => markable.has(id)));
  gallery.open = (id) => setTriggerValue("opened", id);
  gallery.mark = (id, isMarked) => {
    gallery.marked[isMarked ? "add" : "delete"](id);
    setStateValue("marked", [...gallery.marked]);
  };
  root.onkeydown = (event) => steer(event, root, gallery);
  const focused = parentElement.activeElement ?? root.getRootNode().activeElement;
  const focusedId = root.contains(focused) ? focused.closest(".card")?.dataset.id : null;
  const before = gallery.drawn;
  gallery.drawn = new Map(data.cards.map((card) => {
    const { is_marked, ...looks } = card;
    const told = JSON.stringify(looks);
    const known = before.get(card.id);
    return [card.id, known?.told === told ? known : { told, node: drawCard(card, data.words, gallery) }];
  }));
  const nodes = [...gallery.drawn.values()].map((known) => known.node);
  if (nodes.length !== root.children.length || nodes.some((node, at) => root.children[at] !== node)) {
    root.replaceChildren(...nodes);
    if (focusedId) gallery.drawn.get(focusedId)?.node.querySelector(".open").focus();
  }
  for (const [id, known] of gallery.drawn) {
    const box = known.node.querySelector("input");
    if (box) box.checked = gallery.marked.has(id);
  }
}
