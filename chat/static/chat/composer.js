// @ts-check
/**
 * Where a question is written: keys, size, limit, draft; and the outbox, which holds the one
 * question that is on its way. A question keeps its idempotency key until the server has answered,
 * so it may go out again safely; what cannot go out is shown as unsent and can be taken back.
 */
import { newKey, request } from "stkweb/net";
import { $, MAC, alarm, boot, h, number, say, t } from "stkweb/ui";
import { loadMarkdown } from "stkweb/transcript";

/** Milliseconds of rest before a draft is saved. */
const REST = 1200;
/** Bytes that a request may carry while the page is leaving. */
const LEAVING = 60_000;
const NEAR = 0.8;
/** Seconds after which an unsent question is tried again. */
const AGAIN = 5;

/** @typedef {{text: string, agent: string, parent?: string, conversation: string|null, key: string}} Sent */

export class Composer {
  /** @type {Sent|null} */
  outbox = null;
  #saved = "";
  #timer = 0;
  /** @type {{parent: string, was: string}|null} */
  #editing = null;
  #running = false;
  #busy = false;
  #retry = 0;
  /** @type {Sent|null} what was taken back although it may have arrived */
  #doubtful = null;

  /**
   * @param {{conversation: () => string|null, agent: () => string, local: (sent: Sent|null) => void, unsent: (why: string) => void,
   *   accepted: (reply: any, sent: Sent) => void, signIn: () => void, online: () => boolean}} page
   */
  constructor(page) {
    this.page = page;
    this.form = $("composer");
    this.field = $("text");
    this.send = $("send");
    this.stop = $("stop");
    this.strip = $("strip");
    this.sendKey = boot.send_key ?? "enter";
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("input", () => loadMarkdown(), { once: true });
    addEventListener("pagehide", () => this.#save(true));
    document.addEventListener("visibilitychange", () => document.hidden && this.#save(true));
    this.hints();
    this.open(this.field.value);
    const outbox = JSON.parse(sessionStorage.getItem("outbox") ?? "null");
    if (outbox && outbox.conversation === page.conversation()) this.#post(outbox);
  }

  get #slot() {
    return `draft:${this.page.conversation() ?? "new"}`;
  }

  /** Another conversation: its draft, from this tab if it has one, or from the server. @param {string} draft */
  open(draft) {
    this.#editing = null;
    this.#saved = draft;
    this.set(sessionStorage.getItem(this.#slot) ?? draft);
    this.#note();
  }

  /** @param {string} text */
  set(text) {
    this.field.value = text;
    this.#grow();
    this.#limit();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  /** @param {boolean} running whether an answer is being written here */
  running(running) {
    const focused = document.activeElement === this.send || document.activeElement === this.stop;
    this.#running = running;
    this.send.hidden = running;
    this.stop.hidden = !running;
    this.stop.disabled = false;
    this.stop.lastElementChild.textContent = t("stop");
    if (focused) (running ? this.stop : this.send).focus();
  }

  stopping() {
    this.stop.disabled = true;
    this.stop.lastElementChild.textContent = t("stopping");
  }

  hints() {
    const mod = MAC ? "⌘" : "Ctrl";
    $("keys").textContent = t(this.sendKey === "enter" ? "keys_enter" : "keys_mod", { mod });
    const keys = this.sendKey === "enter" ? ["Enter"] : [mod, "Enter"];
    document.querySelector("[data-send-key]")?.replaceChildren(...keys.map((key) => h("kbd", { class: "key" }, key)));
  }

  /** Write a question anew: it takes its old place in the conversation. @param {string} text @param {string} parent the message it follows */
  edit(text, parent) {
    this.#editing = { parent, was: this.field.value };
    this.set(text);
    this.#note();
    this.focus();
  }

  #key(event) {
    // 229 is what a key is while an input method composes.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape" && this.#editing) return event.preventDefault(), this.#leaveEdit();
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    const mod = event.ctrlKey || event.metaKey;
    if (this.sendKey === "mod-enter" ? !mod : mod) return;
    event.preventDefault();
    if (!event.repeat) this.submit();
  }

  #changed() {
    this.#grow();
    this.#limit();
    if (this.strip.dataset.kind?.startsWith("refused")) this.#note();
    if (this.#editing) return;
    sessionStorage.setItem(this.#slot, this.field.value);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), REST);
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }

  #bytes() {
    const { length } = this.field.value;
    const limit = boot.limits?.prompt_bytes ?? Infinity;
    // A character takes three bytes at most for each unit of its length: counting is only needed near the limit.
    return length * 3 < limit * NEAR ? length : new TextEncoder().encode(this.field.value).length;
  }

  /** @returns {boolean} whether the text may be sent as far as its size goes */
  #limit() {
    const limit = boot.limits?.prompt_bytes ?? Infinity;
    const bytes = this.#bytes();
    const size = { size: number(Math.ceil(bytes / 1024)), limit: number(Math.floor(limit / 1024)) };
    const over = bytes > limit;
    if (over) this.#note(t("too_long", size), "bad");
    else if (bytes > limit * NEAR) this.#note(t("near_limit", size), "warn");
    else if (this.strip.dataset.kind === "bad" || this.strip.dataset.kind === "warn") this.#note();
    this.send.setAttribute("aria-disabled", String(over));
    return !over;
  }

  /** The line above the text: what holds, and at most one action. */
  #note(text = this.#editing ? t("editing") : "", kind = this.#editing ? "edit" : "", action = this.#editing ? t("cancel") : "", run = () => this.#leaveEdit()) {
    const [label, button] = this.strip.children;
    label.textContent = text;
    button.textContent = action;
    button.hidden = !action;
    button.onclick = run;
    this.strip.className = `strip ${kind}`;
    this.strip.dataset.kind = kind;
    this.strip.hidden = !text;
  }

  #leaveEdit() {
    const { was } = this.#editing ?? { was: "" };
    this.#editing = null;
    this.set(was);
    this.#note();
    this.focus();
  }

  /** The draft as it is, before another conversation takes the field. */
  leave() {
    if (this.#editing) this.#leaveEdit();
    return this.#save();
  }

  async #save(leaving = false) {
    clearTimeout(this.#timer);
    const text = this.#editing ? this.#editing.was : this.field.value;
    if (text === this.#saved || (leaving && text.length > LEAVING / 3)) return;
    this.#saved = text;
    try {
      await request("/drafts/", { json: { conversation: this.page.conversation(), text }, keepalive: leaving });
    } catch {
      // This tab still has it; the next change saves again.
      this.#saved = "\0";
    }
  }

  submit() {
    const text = this.field.value;
    if (!text.trim() || this.#busy || !this.#limit()) return;
    if (this.#running) return say(t("wait_or_stop"));
    if (this.outbox) return alarm(t("one_unsent"));
    const sent = { text, agent: this.page.agent(), conversation: this.page.conversation(), key: newKey() };
    if (this.#editing) sent.parent = this.#editing.parent;
    // The same words again may already be there: under their old key they are not doubled.
    const { key, ...words } = this.#doubtful ?? { key: "" };
    if (key && Object.keys(words).every((name) => words[name] === sent[name])) sent.key = key;
    const left = this.#editing?.was ?? "";
    sessionStorage.removeItem(this.#slot);
    clearTimeout(this.#timer);
    this.#editing = null;
    this.#saved = "\0";
    this.set(left);
    this.#note();
    this.#post(sent);
  }

  /** Send what waits in the outbox again, if something does. */
  flush() {
    if (this.outbox && !this.#busy) this.#post(this.outbox);
  }

  /** The unsent question back into the field. */
  takeBack(doubtful = true) {
    if (!this.outbox || this.#busy) return undefined;
    const { text, parent } = this.outbox;
    if (doubtful) this.#doubtful = this.outbox;
    this.#done();
    this.page.local(null);
    if (parent !== undefined) return this.edit(text, parent);
    this.set(this.field.value ? `${text}\n\n${this.field.value}` : text);
    this.#changed();
    return this.focus();
  }

  #done() {
    this.outbox = null;
    clearTimeout(this.#retry);
    sessionStorage.removeItem("outbox");
  }

  /** @param {Sent} sent */
  async #post(sent) {
    this.outbox = sent;
    this.#busy = true;
    clearTimeout(this.#retry);
    sessionStorage.setItem("outbox", JSON.stringify(sent));
    this.page.local(sent);
    this.send.setAttribute("aria-disabled", "true");
    try {
      if (!this.page.online()) return this.page.unsent(t("unsent_offline"));
      const { text, agent, parent } = sent;
      const url = sent.conversation ? `/c/${sent.conversation}/messages/` : "/c/";
      const reply = await request(url, { json: parent === undefined ? { text, agent } : { text, agent, parent }, key: sent.key });
      this.#done();
      this.#doubtful = null;
      this.#saved = "";
      this.page.accepted(reply, sent);
    } catch (error) {
      this.#refused(error, sent);
    } finally {
      this.#busy = false;
      this.send.setAttribute("aria-disabled", "false");
    }
  }

  #refused(error, sent) {
    if (error.code === "signed_out") {
      this.page.unsent(t("unsent_signed_out"));
      return this.page.signIn();
    }
    // A twin of this very request is still at work: its answer comes under the same key.
    if (error.code === "in_progress" || error.passing) {
      const seconds = error.retryAfter || AGAIN;
      this.page.unsent(error.code === "network" ? t("unsent_network") : t("unsent_server", { seconds: number(seconds) }));
      this.#retry = setTimeout(() => this.flush(), seconds * 1000);
      return undefined;
    }
    this.#busy = false;
    this.takeBack(false);
    const text = [error.message, error.kept, error.next].filter(Boolean).join(" ");
    alarm(text);
    if (error.retryAfter) this.#countdown(text, error.retryAfter);
    else this.#note(text, "refused bad");
    return undefined;
  }

  #countdown(text, seconds) {
    if (seconds <= 0) return this.#note();
    this.#note(`${text} ${t("again_in", { seconds: number(Math.ceil(seconds)) })}`, "refused bad");
    this.#retry = setTimeout(() => this.#countdown(text, seconds - 1), 1000);
  }
}
