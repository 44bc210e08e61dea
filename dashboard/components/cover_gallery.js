// Draws the gallery from data: cards that did not change are left alone, so no picture flickers. Texts are set as text, never as HTML.
const RETRY_SECONDS = [5, 300]; // the first wait for a picture that could not be shown, doubled up to the last

const element = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(Boolean));
  return made;
};

// The store may come back: the words stay until the picture is there.
const askAgain = (card, unseen, seconds) => setTimeout(() => {
  if (!unseen.isConnected) return;
  const image = element("img", { alt: card.alt, decoding: "async", width: 400, height: 210 });
  image.onload = () => unseen.replaceWith(image);
  image.onerror = () => askAgain(card, unseen, Math.min(2 * seconds, RETRY_SECONDS[1]));
  image.src = card.picture;
}, 1000 * seconds);

const drawPicture = (card, words) => {
  const frame = element("div", { className: "frame" });
  if (card.picture) {
    const image = element("img", { src: card.picture, alt: card.alt, loading: "lazy", decoding: "async", width: 400, height: 210 });
    image.onerror = () => {
      const unseen = element("span", { className: "none", textContent: words.unseen });
      image.replaceWith(unseen);
      askAgain(card, unseen, RETRY_SECONDS[0]);
    };
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
  // The label stands for all that is inside, the picture's own words too.
  const told = [`${words.open.replace("{title}", card.title)}: ${card.word}`, card.why, card.picture ? words.picture.replace("{words}", card.alt) : ""];
  open.setAttribute("aria-label", told.filter(Boolean).join(". "));
  open.onclick = () => gallery.open(card.id);
  const line = element("div", { className: "line" }, [drawState(card)]);
  if (card.may_mark) {
    const box = element("input", { type: "checkbox", checked: gallery.marked.has(card.id) });
    box.setAttribute("aria-label", words.mark.replace("{title}", card.title));
    box.setAttribute("aria-keyshortcuts", "x");
    box.onchange = () => gallery.mark(card.id, box.checked);
    line.prepend(box);
  }
  if (card.is_sample) line.append(element("span", { className: "sample", textContent: words.sample }));
  line.append(...[drawCredit(card)].filter(Boolean));
  const drawn = element("article", { className: card.is_making ? "card making" : "card" }, [
    open, line, card.why ? element("p", { className: "why", textContent: card.why, title: card.why }) : null]);
  drawn.setAttribute("role", "listitem");
  drawn.tabIndex = -1; // it has the focus when what had it is gone
  drawn.dataset.id = card.id;
  drawn.style.setProperty("--tone", card.colour);
  return drawn;
};

// A card that changed is replaced where it stands; the others stay, and so does the focus, on the same part of its card.
const place = (root, nodes) => {
  const focused = root.getRootNode().activeElement;
  const card = root.contains(focused) ? focused.closest(".card") : null;
  const part = ["input", "a", ".open"].find((selector) => focused?.matches(selector));
  const wanted = new Map(nodes.map((node) => [node.dataset.id, node]));
  for (const old of [...root.children]) {
    const node = wanted.get(old.dataset.id);
    if (node !== old) node ? old.replaceWith(node) : old.remove();
  }
  nodes.forEach((node, at) => { if (root.children[at] !== node) root.insertBefore(node, root.children[at] ?? null); });
  const again = card && wanted.get(card.dataset.id);
  if (again && !again.contains(root.getRootNode().activeElement)) ((part && again.querySelector(part)) || again).focus({ preventScroll: true });
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
  const before = gallery.drawn;
  gallery.drawn = new Map(data.cards.map((card) => {
    const { is_marked, ...looks } = card;
    const told = JSON.stringify(looks);
    const known = before.get(card.id);
    return [card.id, known?.told === told ? known : { told, node: drawCard(card, data.words, gallery) }];
  }));
  place(root, [...gallery.drawn.values()].map((known) => known.node));
  for (const [id, known] of gallery.drawn) {
    const box = known.node.querySelector("input");
    if (box) box.checked = gallery.marked.has(id);
  }
}
