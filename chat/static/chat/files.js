// @ts-check
/**
 * Where files come in: chosen, dragged anywhere, pasted; what the agent takes, told before one chooses; and
 * which files belong to the draft of which conversation, so that a reload loses none. The list of what was
 * given and how it travels come when there is something to give (given.js, uploads.js).
 *
 * @typedef {{takes: boolean, reason: string|null, max_bytes: number, max_files: number, types: string[]|null, images: boolean}} Taking
 * @typedef {{id: string, name: string, files?: Taking}} Agent
 * @typedef {{id: string, name: string, mime_type?: string, type?: string, preview_url?: string, stkweb?: any}} Attachment
 */
import { $, alarm, h, icon, number, sizeOf, t, toast } from "stkweb/ui";

/** Characters of a paste that may as well be a file. */
const LONG_PASTE = 6000;
/** Of an agent that says nothing about files. */
const NOTHING = { takes: false, reason: null, max_bytes: 0, max_files: 0, types: [], images: false };

export class Giving {
  /** @type {import("stkweb/given").Given|null} */
  #given = null;
  /** @type {Promise<import("stkweb/given").Given>|null} */
  #coming = null;
  /** What was given in conversations that were left, still on its way. @type {Map<string|null, import("stkweb/uploads").Upload[]>} */
  #parked = new Map();
  /** Files that were given while the list itself was still coming. */
  #entering = 0;

  /**
   * @param {{conversation: () => string|null, agent: () => Agent, changed: () => void, lost: () => void, signedOut: () => void, focus: () => void}} page
   *   `changed`: something became ready, failed, came or went; `lost`: what was given could not be taken in
   */
  constructor(page) {
    this.page = page;
    this.input = $("upload");
    this.input.addEventListener("change", () => (this.give([...this.input.files]), (this.input.value = "")));
    $("choose").addEventListener("click", () => ($("giving").hidePopover(), this.choose()));
    const menu = $("giving");
    menu.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      const { left, top } = $("give").getBoundingClientRect();
      menu.style.inset = `auto auto ${innerHeight - top + 6}px ${Math.max(8, left)}px`;
    });
    addEventListener("beforeunload", (event) => this.coming && event.preventDefault());
    document.addEventListener("paste", (event) => {
      if (!(/** @type {Element} */ (event.target).closest("input, textarea, dialog"))) this.pasted(event);
    });
    this.#drags();
  }

  // -- What was given ------------------------------------------------------------------------------

  /** How many are on their way. @returns {number} */
  get coming() {
    return this.#entering + (this.#given?.pending.length ?? 0);
  }

  /** The first that cannot go along, and why. @returns {{name: string, text: string}|undefined} */
  get trouble() {
    return this.#given?.trouble;
  }

  /** As a message carries them. @returns {Attachment[]} */
  get attachments() {
    return this.#given?.attachments ?? [];
  }

  /** @returns {Taking} */
  get taking() {
    return this.page.agent().files ?? NOTHING;
  }

  get meant() {
    return { agent: this.page.agent().id, conversation: this.page.conversation() };
  }

  /** @returns {Promise<import("stkweb/given").Given>} */
  #list() {
    return (this.#coming ??= import("stkweb/given").then(
      ({ Given }) => (this.#given = new Given($("given"), this)),
      (error) => {
        this.#coming = null;
        this.#refuse(t("no_connection"));
        this.page.lost();
        throw error;
      },
    ));
  }

  /** The list, with so many files counted as coming until it is there. @param {number} files */
  async #entered(files) {
    this.#entering += files;
    try {
      return await this.#list();
    } finally {
      this.#entering -= files;
    }
  }

  // -- Another draft -------------------------------------------------------------------------------

  get #slot() {
    return `files:${this.page.conversation() ?? "new"}`;
  }

  /** Another conversation takes the place: what is on its way goes on. */
  leave() {
    const uploads = this.#given?.uploads ?? [];
    if (uploads.length) this.#parked.set(this.page.conversation(), uploads);
  }

  /** The files of another conversation's draft. */
  async open() {
    const here = this.page.conversation();
    const parked = this.#parked.get(here);
    this.#parked.delete(here);
    this.agentChanged();
    this.#given?.show(parked ?? []);
    const kept = JSON.parse(sessionStorage.getItem(this.#slot) ?? "[]");
    if (parked || !kept.length) return;
    const given = await this.#entered(kept.length);
    if (here === this.page.conversation()) given.restore(kept);
  }

  /** Files of a send that was taken back. @param {Attachment[]} attachments */
  async put(attachments) {
    if (attachments.length) (await this.#entered(attachments.length)).put(attachments);
  }

  /** A message is written anew: its files instead of the draft's. @param {Attachment[]} attachments */
  async aside(attachments) {
    if (attachments.length || this.#given) (await this.#entered(attachments.length)).aside(attachments);
  }

  /** The draft's own again. */
  back() {
    this.#given?.back();
  }

  /** They were sent: nothing belongs to the draft any more. */
  clear() {
    this.#given?.show([]);
    this.keep([]);
  }

  /** @param {{id: string|null, name: string, size: number, type: string}[]} kept what a reload finds again */
  keep(kept) {
    if (kept.length) sessionStorage.setItem(this.#slot, JSON.stringify(kept));
    else sessionStorage.removeItem(this.#slot);
  }

  /** What the agent takes stands beside the button before anybody chooses. */
  agentChanged() {
    const { takes, reason, max_files: files, max_bytes: bytes, types } = this.taking;
    const known = Boolean(this.page.agent().files);
    $("give").hidden = !known;
    $("give").classList.toggle("off", !takes);
    $("choose").hidden = !takes;
    $("takes").textContent = takes ? t("gives", { files: number(files), size: sizeOf(bytes) }) : (reason ?? "");
    $("takes-types").textContent = takes ? (types ? t("types", { types: types.join(" ") }) : t("types_any")) : "";
    $("takes-none").textContent = known && !takes ? (reason ?? "") : "";
    this.input.accept = types?.join(",") ?? "";
    this.#given?.redraw();
  }

  /** The line is back, or somebody is signed in again. */
  wake() {
    this.#given?.wake();
  }

  // -- Giving --------------------------------------------------------------------------------------

  choose() {
    this.input.click();
  }

  /** @param {File[]} files @param {string[]} [folders] names of what cannot be given */
  async give(files, folders = []) {
    const { takes, reason } = this.taking;
    if (!takes) return this.#refuse(reason ?? "");
    if (folders.length) this.#refuse(t("no_folders", { name: folders.join(", ") }));
    if (!files.length) return undefined;
    const surplus = (await this.#entered(files.length)).give(files);
    if (surplus) this.#refuse(t("too_many_files", { name: surplus, files: number(this.taking.max_files) }));
    return this.page.focus();
  }

  #refuse(text) {
    alarm(text);
    toast(text);
  }

  #drags() {
    let depth = 0;
    const zone = h("div", { class: "drop", hidden: true }, h("div", {}, icon("clip"), h("p", {}), h("small", {})));
    document.body.append(zone);
    const carries = (event) => event.dataTransfer?.types.includes("Files") && this.page.agent().files && !document.querySelector("dialog[open]");
    const leave = () => ((depth = 0), (zone.hidden = true));
    addEventListener("dragenter", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      depth += 1;
      const { takes, reason } = this.taking;
      const [line, small] = zone.querySelectorAll("p, small");
      line.textContent = takes ? t("drop_here", { agent: this.page.agent().name }) : (reason ?? "");
      small.textContent = takes ? $("takes").textContent : "";
      zone.classList.toggle("off", !takes);
      zone.hidden = false;
    });
    addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = this.taking.takes ? "copy" : "none";
    });
    addEventListener("dragleave", (event) => carries(event) && (depth -= 1) <= 0 && leave());
    addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      leave();
      const items = [...(event.dataTransfer?.items ?? [])].filter((item) => item.kind === "file");
      const folders = items.map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory).map((entry) => entry?.name ?? "");
      const files = [...(event.dataTransfer?.files ?? [])].filter((file) => !folders.includes(file.name));
      this.give(files, folders);
    });
  }

  /**
   * A paste into the field: files are taken, a long text is offered as a file.
   * @param {ClipboardEvent} event @returns {string|null} the text that might as well be a file
   */
  pasted(event) {
    const text = (event.clipboardData?.getData("text/plain") ?? "").replace(/\r\n?/g, "\n");
    const files = [...(event.clipboardData?.files ?? [])];
    // A cell or a paragraph is put there as a picture too: then its words are meant.
    if (files.length && !text) {
      event.preventDefault();
      this.give(files.map((file) => new File([file], stamped(file.name), { type: file.type })));
    }
    return text.length > LONG_PASTE && this.takesText ? text : null;
  }

  get takesText() {
    const { takes, types } = this.taking;
    return takes && (!types || types.includes(".txt"));
  }

  /** @param {string} text */
  giveText(text) {
    return this.give([new File([text], stamped("text.txt"), { type: "text/plain" })]);
  }
}

/** Everything that is pasted has the same name: the time tells two of them apart. @param {string} name */
function stamped(name) {
  const now = new Date();
  const two = (value) => String(value).padStart(2, "0");
  const dot = name.lastIndexOf(".");
  const stem = dot > 0 ? name.slice(0, dot) : name;
  return `${stem}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}${dot > 0 ? name.slice(dot) : ""}`;
}
