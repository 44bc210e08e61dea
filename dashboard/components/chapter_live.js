// Follows the event stream of one chapter and shows its text as it grows. All of it is set as text nodes, never as HTML.
const TELL_SECONDS = 15;       // between two words to a screen reader
const AT_ONCE = 1500;          // so many characters that come together are shown together: nobody reads them as they grow
const LONGEST_PAUSE = 10000;   // milliseconds between two tries to connect

const element = (tag, properties = {}, children = []) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(Boolean));
  return made;
};

const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const codePoints = (text) => { let count = 0; for (const _ of text) count += 1; return count; };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// What is on the screen: paragraphs of one text node each, so that a long text costs no more per word than a short one.
class Screen {
  constructor(root, name) {
    this.root = root;
    this.state = element("span", { className: "state" });
    this.counts = element("span", { className: "counts" });
    this.message = element("p", { className: "message" });
    this.heading = element("h2");
    this.body = element("div", { className: "body" });
    this.text = element("div", { className: "text" }, [this.heading, this.body]);
    this.scroll = element("div", { className: "scroll", tabIndex: 0 }, [this.text]);
    this.scroll.setAttribute("role", "region");
    this.scroll.setAttribute("aria-label", name);
    this.told = element("div", { className: "told" });
    this.told.setAttribute("role", "status");
    this.told.setAttribute("aria-live", "polite");
    root.replaceChildren(element("div", { className: "head" }, [this.state, this.counts]), this.message, this.scroll, this.told);
    this.clear();
  }

  clear() {
    this.shown = 0;
    this.last = null;
    this.heading.textContent = "";
    this.body.replaceChildren();
    this.options?.remove();
  }

  append(text) {
    const isAtEnd = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 60;
    text.split(/\r?\n/).forEach((line, at) => {
      if (at > 0) this.last = null;
      if (!line) return;
      if (!this.last) {
        this.last = document.createTextNode("");
        this.body.append(element("p", {}, [this.last]));
      }
      this.last.appendData(line);
    });
    this.shown += codePoints(text);
    if (isAtEnd) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  offer(options, label) {
    this.options?.remove();
    if (!options?.length) return;
    this.options = element("div", { className: "options" }, [
      element("div", { className: "label", textContent: label }),
      element("ol", {}, options.map((option) => element("li", {}, [
        element("span", { textContent: option.text }),
        option.impact ? element("div", { className: "impact", textContent: option.impact }) : null])))]);
    this.text.append(this.options);
  }
}

class Live {
  constructor(root) {
    this.root = root;
    this.pending = "";
    this.received = 0;
    this.failures = 0;
    this.onVisible = () => (document.hidden ? this.pause() : this.start());
    document.addEventListener("visibilitychange", this.onVisible);
    this.ticking = setInterval(() => { if (!["complete", "failed"].includes(this.state)) this.count(); }, 500);
  }

  // Every run of the page calls this; only the first one connects.
  take(data, tell) {
    this.tell = tell;
    this.words = data.words;
    this.token = data.token;
    this.beganAt ??= Date.now() - 1000 * data.elapsed_seconds;
    if (!this.screen) {
      this.id = data.id;
      this.screen = new Screen(this.root, data.name);
      if (data.language) this.screen.text.lang = data.language;
      this.say("connecting");
    }
    this.start();
  }

  start() {
    if (this.source || this.waiting || this.isOver || document.hidden) return;
    const after = this.lastId ? `&after=${encodeURIComponent(this.lastId)}` : "";
    const source = new EventSource(`/chapters/${encodeURIComponent(this.id)}/events?token=${encodeURIComponent(this.token)}${after}`);
    this.source = source;
    source.onopen = () => { this.failures = 0; if (this.state !== "writing") this.say(this.received ? "writing" : "waiting"); };
    source.onmessage = (event) => { if (source === this.source) this.hear(event.lastEventId, JSON.parse(event.data)); };
    source.onerror = () => {
      if (source !== this.source) return;
      this.say("reconnecting");
      if (source.readyState === EventSource.CLOSED) this.again();  // else the browser comes back by itself
    };
  }

  // Tabs that nobody looks at hold no connection: a browser has six for one server.
  pause() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.waiting);
    this.waiting = null;
  }

  // The token may be too old, or the server was started again: ask the page for another one, and go on where it stopped.
  again() {
    this.pause();
    this.failures += 1;
    this.tell("renew", `${Date.now()}`);
    this.waiting = setTimeout(() => { this.waiting = null; this.start(); }, Math.min(LONGEST_PAUSE, 400 * 2 ** this.failures));
  }

  hear(eventId, event) {
    if (eventId) this.lastId = eventId;
    if (event.kind === "unavailable") { this.screen.message.textContent = event.message; return; }
    this.screen.message.textContent = "";
    if (event.kind === "restart") this.restart();
    else if (event.kind === "summary") this.screen.heading.textContent = event.title ?? "";
    else if (event.kind === "content") this.grow(event);
    else this.end(event);
  }

  restart() {
    if (this.received) this.screen.message.textContent = this.words.restarted;
    this.pending = "";
    this.received = 0;
    this.screen.clear();
  }

  grow(event) {
    if (event.offset !== this.received) {
      if (event.offset !== 0) { this.lastId = null; this.restart(); this.pause(); this.start(); return; }  // something was lost
      this.restart();
    }
    this.received += codePoints(event.text);
    this.pending += event.text;
    this.say("writing");
    if (this.pending.length > AT_ONCE || isCalm()) this.reveal(this.pending.length);
    else this.frame ??= requestAnimationFrame(() => this.step());
  }

  // An eighth of what waits for each picture: smooth, and never more than a quarter of a second behind.
  step() {
    this.frame = null;
    this.reveal(Math.max(2, Math.ceil(this.pending.length / 8)));
    if (this.pending) this.frame = requestAnimationFrame(() => this.step());
  }

  reveal(count) {
    const last = this.pending.charCodeAt(count - 1);
    const until = last >= 0xd800 && last < 0xdc00 ? count + 1 : count;  // never half of a character
    this.screen.append(this.pending.slice(0, until));
    this.pending = this.pending.slice(until);
    this.count();
  }

  end(event) {
    this.reveal(this.pending.length);
    const isComplete = event.kind === "complete";
    if (isComplete) {
      if (event.title) this.screen.heading.textContent = event.title;
      this.screen.offer(event.options, this.words.options);
    } else {
      this.screen.message.textContent = event.message ?? "";
    }
    this.pause();
    this.isOver = isComplete;
    this.say(isComplete ? "complete" : "failed");
    this.tell("ended", `${event.kind} ${Date.now()}`);
    if (isComplete) return;
    this.lastId = null;  // the page takes this away when the chapter has failed; else its text is looked for again
    this.waiting = setTimeout(() => { this.waiting = null; this.start(); }, LONGEST_PAUSE / 2);
  }

  say(state) {
    if (this.state === state) return;
    this.state = state;
    this.root.dataset.state = state;
    this.screen.state.textContent = this.words[state];
    this.screen.told.textContent = this.words[state];
    this.toldAt = Date.now();
    this.count();
  }

  count() {
    if (!this.screen) return;
    const words = this.words.characters.replace("{count}", this.screen.shown.toLocaleString());
    this.screen.counts.textContent = `${words} · ${clock((Date.now() - this.beganAt) / 1000)}`;
    if (this.state === "writing" && Date.now() - this.toldAt > 1000 * TELL_SECONDS) {
      this.screen.told.textContent = words;
      this.toldAt = Date.now();
    }
  }

  close() {
    this.pause();
    clearInterval(this.ticking);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("visibilitychange", this.onVisible);
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".live");
  if (root.live && root.live.id !== data.id) { root.live.close(); root.live = null; }
  root.live ??= new Live(root);
  root.live.take(data, setTriggerValue);
  return () => { root.live?.close(); root.live = null; };
}
