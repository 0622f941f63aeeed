// @ts-check
/**
 * Draws the messages of a thread: adopts what the server drew, adds and changes what is new, once a
 * frame. Parts that did not change keep their nodes, so a selection or an open fold survives.
 */
import { attachments, button, calls, enhance, foot, loadMarkdown, markdown, notice, pauseOf, siblings, sources, told, Waiting } from "stkweb/parts";
import { isRunning, textOf } from "stkweb/thread";
import { choice, duration, h, icon, number, say, t, time, timeElement, wholeTime } from "stkweb/ui";

/** @typedef {import("stkweb/thread").Item} Item */
/** @typedef {{element: HTMLElement, slots: Record<string, any>, text: string|null, stream: any, thoughts: string, thinking: any, signature: string, wait: Waiting|null, spoken: number, whole: number, calls: string}} Drawn */

/** Parts of an answer in their order; each is replaced alone. */
const ORDER = ["header", "reasoning", "waiting", "prose", "calls", "sources", "told", "state", "foot"];

export class Transcript {
  /** @type {Map<string, Drawn>} */
  #drawn = new Map();
  #dirty = new Set();
  #ordered = false;
  #frame = 0;
  /** @type {Item[]} the question that is on its way, and the answer it waits for */
  #local = [];
  #late = "";

  /**
   * @param {HTMLElement} root @param {import("stkweb/ui").Scroller} scroller
   * @param {import("stkweb/thread").Thread} thread whose items the server has drawn
   */
  constructor(root, scroller, thread) {
    this.root = root;
    this.scroller = scroller;
    this.thread = thread;
    for (const element of root.querySelectorAll("article")) this.#adopt(/** @type {HTMLElement} */ (element));
    for (const element of root.querySelectorAll("time")) {
      element.textContent = time(element.dateTime);
      element.title = wholeTime(element.dateTime);
    }
    for (const element of root.querySelectorAll(".answer:not(.live) .prose")) enhance(element);
    this.touch(thread.messages().filter((item) => isRunning(item) || pauseOf(item)).map((item) => item.id));
  }

  #adopt(element) {
    const id = element.dataset.id ?? "";
    const item = this.thread.items.get(id);
    const slots = {};
    for (const name of ORDER) slots[name] = element.querySelector(`:scope > .${name}, :scope > ${name === "header" ? "header" : "x-none"}`);
    const drawn = { ...blank(element), slots, text: item && !isRunning(item) ? textOf(item) : null };
    drawn.thoughts = this.thread.thoughts(id);
    // The server named it by its own clock.
    if (item) element.setAttribute("aria-label", label(item));
    drawn.calls = callFacts(this.thread.calls(id), this.#last()?.id !== id);
    // A notice that counts down is this page's to draw.
    if (item && !pauseOf(item)) drawn.signature = this.#signature(item);
    if (slots.waiting) (drawn.wait = new Waiting(slots.waiting)).show(item?.stkweb ?? {});
    this.#drawn.set(id, drawn);
  }

  /** Show another thread instead. @param {import("stkweb/thread").Thread} thread */
  use(thread) {
    for (const drawn of this.#drawn.values()) drawn.element.remove();
    this.#drawn.clear();
    this.#local = [];
    this.thread = thread;
    this.touch([], true);
    this.paint();
  }

  /** The conversation has just been made: its thread takes over what is drawn. */
  rebase(thread) {
    this.thread = thread;
  }

  /** @param {Iterable<string>} ids what changed @param {boolean} [ordered] whether something came, went or moved */
  touch(ids, ordered = false) {
    for (const id of ids) this.#dirty.add(id);
    this.#ordered ||= ordered;
    this.#frame ||= requestAnimationFrame(() => this.paint());
  }

  /** A question as it was typed, before any reply; drawn at once. @param {{text: string, agent: any, attachments?: any[]}|null} sent */
  local(sent) {
    const now = new Date().toISOString();
    this.#late = "";
    this.#local = sent
      ? [
          { id: "local", type: "user_message", created_at: now, content: [{ type: "input_text", text: sent.text }], attachments: sent.attachments },
          { id: "local.a", type: "assistant_message", created_at: now, content: [], stkweb: { state: "queued", agent: sent.agent } },
        ]
      : [];
    this.touch(["local", "local.a"], true);
    this.paint();
  }

  /** The local question could not go out. @param {string} why */
  unsent(why) {
    this.#late = why;
    this.#local = this.#local.filter((item) => item.id === "local");
    this.touch(["local"], true);
    this.paint();
  }

  /** The server knows the local question, or the answer it waits for: the same node, its real id. */
  settle(from, to) {
    const drawn = this.#drawn.get(from);
    this.#local = this.#local.filter((item) => item.id !== from);
    if (drawn && !this.#drawn.has(to)) {
      this.#drawn.delete(from);
      this.#drawn.set(to, drawn);
      drawn.element.dataset.id = to;
      drawn.element.id = `m-${to}`;
    }
    this.touch([to], true);
  }

  paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const items = [...this.thread.messages(), ...this.#local];
    const dirty = this.#dirty;
    const ordered = this.#ordered;
    this.#dirty = new Set();
    this.#ordered = false;
    if (ordered) this.#order(items);
    for (const item of items) if (ordered || dirty.has(item.id)) this.#draw(item);
    if (dirty.size) this.scroller.grew();
  }

  #order(items) {
    const wanted = new Set(items.map((item) => item.id));
    for (const [id, drawn] of this.#drawn) {
      if (wanted.has(id)) continue;
      drawn.element.remove();
      this.#drawn.delete(id);
    }
    let after = null;
    for (const item of [...items].reverse()) {
      let drawn = this.#drawn.get(item.id);
      if (!drawn) {
        const kind = item.type === "user_message" ? "question" : "answer";
        drawn = blank(h("article", { class: `item ${kind}`, "data-id": item.id, id: `m-${item.id}` }));
        this.#drawn.set(item.id, drawn);
      }
      if (drawn.element.nextElementSibling !== after || !drawn.element.parentNode) this.root.insertBefore(drawn.element, after);
      after = drawn.element;
    }
  }

  #draw(item) {
    const drawn = this.#drawn.get(item.id);
    if (!drawn) return;
    const signature = this.#signature(item);
    const changed = signature !== drawn.signature;
    drawn.signature = signature;
    if (item.type === "user_message") {
      if (changed) this.#question(drawn, item);
      return;
    }
    if (changed) this.#answer(drawn, item);
    this.#thoughts(drawn, item);
    this.#body(drawn, item);
  }

  /** What the quiet parts of a message depend on; the text of an answer is not among it. */
  #signature(item) {
    if (item.type === "user_message") return JSON.stringify([textOf(item), item.attachments, item.stkweb?.siblings, item.id === "local", item.id === "local" && this.#late]);
    const made = this.thread.calls(item.id).map((call) => call.status);
    return JSON.stringify([item.stkweb, made, this.#last()?.id === item.id, Boolean(this.thread.running()), Boolean(textOf(item))]);
  }

  #last() {
    return this.thread.messages().at(-1);
  }

  #question(drawn, item) {
    const text = textOf(item);
    const local = item.id === "local";
    const { element } = drawn;
    element.className = `item question${local ? (this.#late ? " unsent" : " sending") : ""}${text.length > 3000 || text.split("\n").length > 24 ? " long" : ""}`;
    element.setAttribute("aria-label", label(item));
    const act = (name, label, symbol) => h("button", { class: "quiet", type: "button", "data-do": name, "aria-label": label }, icon(symbol));
    const foot = local
      ? this.#late
        ? h("div", { class: "late" }, h("span", {}, icon("offline"), this.#late), button("send-now", t("send_now"), "send"), button("take-back", t("take_back"), "edit"))
        : null
      : h("div", { class: "foot" }, timeElement(item.created_at),
          h("div", { class: "acts" }, siblings(item), act("copy", t("copy_question"), "copy"), act("edit", t("edit_question"), "edit")));
    const files = item.attachments?.length ? [attachments(item.attachments)] : [];
    element.replaceChildren(h("div", { class: "bubble", dir: "auto" }, text), ...files, ...(foot ? [foot] : []));
    if (element.classList.contains("long")) element.append(button("unfold", t("show_all"), "down"));
  }

  #answer(drawn, item) {
    const extra = item.stkweb ?? {};
    const live = isRunning(item);
    const name = extra.agent?.name ?? "";
    drawn.element.classList.toggle("live", live);
    if (live) drawn.element.setAttribute("aria-busy", "true");
    else drawn.element.removeAttribute("aria-busy");
    drawn.element.setAttribute("aria-label", label(item));
    const took = !live && extra.duration_ms != null && h("span", { class: "took" }, duration(extra.duration_ms));
    slot(drawn, "header", h("header", {}, h("h2", {}, name), extra.continues && h("span", { class: "continued" }, t("continued")), timeElement(item.created_at), took));
    if (live && !textOf(item)) (drawn.wait ??= new Waiting()).show(extra);
    slot(drawn, "waiting", live && !textOf(item) ? drawn.wait.element : null);
    if (!drawn.slots.prose) slot(drawn, "prose", h("div", { class: "prose" }));
    this.#calls(drawn, item);
    slot(drawn, "sources", extra.sources?.length ? sources(extra.sources) : null);
    slot(drawn, "told", told(extra));
    slot(drawn, "state", live ? null : notice(item, this.#open(item)));
    slot(drawn, "foot", live ? null : foot(item, this.#open(item)));
  }

  /** Kept as they are until one of them changes: an output that is being typed, a fold that is open. */
  #calls(drawn, item) {
    const made = this.thread.calls(item.id);
    const over = this.#last()?.id !== item.id;
    const facts = callFacts(made, over);
    if (facts === drawn.calls) return;
    drawn.calls = facts;
    const open = new Set([...drawn.element.querySelectorAll("details.call[open]")].map((fold) => fold.dataset.call));
    slot(drawn, "calls", made.length ? calls(made, over, open, this.thread.id) : null);
  }

  #thoughts(drawn, item) {
    const text = this.thread.thoughts(item.id);
    if (!text) return;
    if (drawn.wait) drawn.wait.thinking = true;
    const milliseconds = item.stkweb?.reasoning_ms;
    const label = milliseconds ? t("thought", { seconds: number(Math.max(1, Math.round(milliseconds / 1000))) }) : t("thoughts");
    if (!drawn.slots.reasoning) {
      const fold = h("details", { class: "reasoning" }, h("summary", {}, label), h("div", { class: "prose" }));
      slot(drawn, "reasoning", fold);
    }
    const fold = drawn.slots.reasoning;
    fold.querySelector("summary").textContent = label;
    if (drawn.thoughts === text && !drawn.thinking) return;
    if (!markdown) return void loadMarkdown().then(() => this.touch([item.id]));
    const prose = fold.querySelector(".prose");
    if (isRunning(item)) (drawn.thinking ??= new markdown.StreamRenderer(prose)).update(text);
    else if (drawn.thinking) drawn.thinking = void drawn.thinking.finish(text);
    else markdown.renderInto(prose, text);
    drawn.thoughts = text;
  }

  #body(drawn, item) {
    const text = textOf(item);
    const live = isRunning(item);
    if (drawn.text === text && !(drawn.stream && !live)) return;
    if (!text && !drawn.stream) return;
    if (!markdown) return void loadMarkdown().then(() => this.touch([item.id]));
    const { prose } = drawn.slots;
    if (live) {
      drawn.stream ??= new markdown.StreamRenderer(prose);
      drawn.stream.update(text);
      // What is whole is dressed at once, so that the end of the answer changes nothing that was read.
      const whole = drawn.stream.blocks?.length ?? 0;
      if (whole > drawn.whole) enhance(prose);
      drawn.whole = whole;
      if (choice.get("speak", "") === "1") drawn.spoken = aloud(text, drawn.spoken);
    } else {
      if (drawn.stream) drawn.stream.finish(text);
      else markdown.renderInto(prose, text);
      drawn.stream = null;
      enhance(prose);
    }
    drawn.text = text;
  }

  /** An answer that was cut may go on, as long as nothing came after it. */
  #continuable(item) {
    const { state, stop_reason: reason, on_length: length } = item.stkweb ?? {};
    const cut = state !== "completed" || (reason === "length" && length !== "off");
    return cut && Boolean(textOf(item)) && this.#last()?.id === item.id;
  }

  /** What may be done with an answer now. */
  #open(item) {
    return { idle: !this.thread.running(), onward: this.#continuable(item) };
  }
}

/** @param {Item} item who said it, and when */
const label = (item) => t("by", { author: item.type === "user_message" ? t("you") : (item.stkweb?.agent?.name ?? ""), time: time(item.created_at) });

const callFacts = (made, over) => (made.length ? JSON.stringify([made.map((call) => [call.id, call.status, call.stkweb?.over]), over]) : "");

const blank = (element) => ({ element, slots: {}, text: null, stream: null, thoughts: "", thinking: null, signature: "", wait: null, spoken: 0, whole: 0, calls: "" });

/** Put a part where it belongs among the parts that are there; null takes it away. */
function slot(drawn, name, node) {
  const old = drawn.slots[name];
  if (old === node) return;
  drawn.slots[name] = node;
  if (old && node) return old.replaceWith(node);
  if (old) return old.remove();
  if (!node) return;
  const next = ORDER.slice(ORDER.indexOf(name) + 1).map((later) => drawn.slots[later]).find(Boolean);
  drawn.element.insertBefore(node, next ?? null);
}

/** Reads whole sentences as they arrive, for those who asked for it. @returns {number} how far it got */
function aloud(text, from) {
  const end = Math.max(...[". ", "! ", "? ", ".\n", "\n\n"].map((mark) => text.lastIndexOf(mark)));
  if (end <= from) return from;
  say(text.slice(from, end + 1).replace(/[*_`#|>]/g, ""));
  return end + 1;
}
