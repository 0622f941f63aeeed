// @ts-check
/**
 * Where a question is written: keys, size, limit, draft, the files that go along; and the outbox, which
 * holds the one question that is on its way. A question keeps its idempotency key until the server has answered,
 * so it may go out again safely; what cannot go out is shown as unsent and can be taken back.
 */
import { Giving } from "stkweb/files";
import { goOver, newKey, request } from "stkweb/net";
import { agentOf, loadMarkdown } from "stkweb/parts";
import { $, alarm, boot, h, MAC, number, say, t } from "stkweb/ui";

/** Milliseconds of rest before a draft is saved. */
const REST = 1200;
/** Bytes that a request may carry while the page is leaving. */
const LEAVING = 60_000;
const NEAR = 0.8;
/** Seconds after which an unsent question is tried again. */
const AGAIN = 5;
/** Seconds that are counted down; of a longer wait the sentence says the moment. */
const COUNTED = 300;

/** @typedef {{text: string, agent: string, parent?: string, files?: string[], attachments?: any[], conversation: string|null, key: string}} Sent */

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
  /** Whether it goes out as soon as its files are there. */
  #held = false;
  /** A text that was pasted and might as well be a file. */
  #pasted = "";

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
    this.files = new Giving({
      conversation: page.conversation,
      agent: () => agentOf(page.agent()),
      changed: () => this.#filesChanged(),
      lost: () => this.#held && this.#release(),
      signedOut: page.signIn,
      // On a phone the keyboard would cover what was just given.
      focus: () => matchMedia("(pointer: fine)").matches && this.focus(),
    });
    this.sendKey = boot.send_key ?? "enter";
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("paste", (event) => (this.#pasted = this.files.pasted(event) ?? ""));
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
    this.files.open();
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

  /** Write a question anew: it takes its old place in the conversation. @param {string} text @param {string} parent the message it follows @param {any[]} [attachments] */
  edit(text, parent, attachments = []) {
    if (!this.#editing) this.#editing = { parent, was: this.field.value };
    this.#editing.parent = parent;
    this.files.aside(attachments);
    this.set(text);
    this.#note();
    this.focus();
  }

  #key(event) {
    // 229 is what a key is while an input method composes.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape" && this.#held) return event.preventDefault(), this.#release();
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
    const offered = Boolean(this.#pasted) && this.field.value.includes(this.#pasted);
    const file = offered ? [t("make_file"), () => this.#makeFile()] : [];
    if (over) this.#note(t("too_long", size), "bad", ...file);
    else if (offered) this.#note(t("long_paste"), "offer", ...file);
    else if (bytes > limit * NEAR) this.#note(t("near_limit", size), "warn");
    else if (["bad", "warn", "offer"].includes(this.strip.dataset.kind ?? "")) this.#note();
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

  /** What was pasted leaves the text and goes along as a file. */
  #makeFile() {
    this.field.value = this.field.value.replace(this.#pasted, () => "");
    this.files.giveText(this.#pasted);
    this.#pasted = "";
    this.#changed();
  }

  /** Sending waits for the files that are on their way, and says so. */
  #hold() {
    this.#held = true;
    this.#note(t("held", { count: this.files.coming }), "held", t("cancel"), () => this.#release());
    this.send.setAttribute("aria-disabled", "true");
  }

  #release() {
    this.#held = false;
    this.send.setAttribute("aria-disabled", "false");
    this.#note();
  }

  #filesChanged() {
    if (this.strip.dataset.kind === "refused files bad") this.#note();
    if (!this.#held) return;
    if (this.files.coming) return this.#hold();
    this.#release();
    this.submit();
  }

  #leaveEdit() {
    const { was } = this.#editing ?? { was: "" };
    this.#editing = null;
    this.files.back();
    this.set(was);
    this.#note();
    this.focus();
  }

  /** The draft as it is, before another conversation takes the field. */
  leave() {
    if (this.#held) this.#release();
    if (this.#editing) this.#leaveEdit();
    this.files.leave();
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
    const { trouble, coming } = this.files;
    if (!text.trim() && (coming || this.files.attachments.length)) return this.#note(t("text_first"), "refused files bad");
    if (!text.trim() || this.#busy || !this.#limit()) return;
    if (this.#running) return say(t("wait_or_stop"));
    if (this.outbox) return alarm(t("one_unsent"));
    if (trouble) return this.#note(t("file_trouble", trouble), "refused files bad"), alarm(t("file_trouble", trouble));
    if (coming) return this.#hold(), say(this.strip.firstElementChild.textContent);
    /** @type {Sent} */
    const sent = { text, agent: this.page.agent(), conversation: this.page.conversation(), key: newKey() };
    const { attachments } = this.files;
    if (attachments.length) Object.assign(sent, { files: attachments.map((file) => file.id), attachments });
    if (this.#editing) sent.parent = this.#editing.parent;
    // The same words again may already be there: under their old key they are not doubled.
    const { key, ...words } = this.#doubtful ?? { key: "" };
    if (key && Object.keys(words).every((name) => String(words[name]) === String(sent[name]))) sent.key = key;
    const left = this.#editing?.was ?? "";
    sessionStorage.removeItem(this.#slot);
    clearTimeout(this.#timer);
    if (this.#editing) this.files.back();
    else this.files.clear();
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
    const { text, parent, attachments = [] } = this.outbox;
    if (doubtful) this.#doubtful = this.outbox;
    this.#done();
    this.page.local(null);
    if (parent !== undefined) return this.edit(text, parent, attachments);
    this.files.put(attachments);
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
      const { text, agent, parent, files } = sent;
      const url = sent.conversation ? `/c/${sent.conversation}/messages/` : "/c/";
      const reply = await request(url, { json: { text, agent, parent, files }, key: sent.key });
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
    if (error.budget) this.#note(text, "refused warn", t("go_over"), () => this.#goOver(error.budget));
    else if (error.retryAfter && error.retryAfter <= COUNTED) this.#countdown(text, error.retryAfter);
    else this.#note(text, "refused bad");
    return undefined;
  }

  /** What was refused goes out once it is confirmed. @param {string} budget */
  async #goOver(budget) {
    this.#note();
    try {
      await goOver(budget);
      this.submit();
    } catch (error) {
      if (error.code === "signed_out") return this.page.signIn();
      alarm(error.message);
      this.#note([error.message, error.next].filter(Boolean).join(" "), "refused bad");
    }
    return undefined;
  }

  #countdown(text, seconds) {
    if (seconds <= 0) return this.#note();
    this.#note(`${text} ${t("again_in", { seconds: number(Math.ceil(seconds)) })}`, "refused bad");
    this.#retry = setTimeout(() => this.#countdown(text, seconds - 1), 1000);
  }
}
