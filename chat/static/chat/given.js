// @ts-check
/**
 * The list of files above the question: each with its size, state and progress, and what may be done with
 * it. A few travel at the same time, the others wait. It decides nothing about sending.
 *
 * @typedef {import("stkweb/files").Attachment} Attachment
 */
import { Upload } from "stkweb/uploads";
import { alarm, h, icon, number, say, sizeOf, t } from "stkweb/ui";

/** Files that travel at the same time. */
const AT_ONCE = 2;
/** Types that a refusal names; the menu names all. */
const TYPES = 8;

export class Given {
  /** @type {Map<Upload, {row: HTMLElement, signature: string}>} */
  #rows = new Map();
  /** @type {Upload[]|null} the draft's own, while a message is written anew */
  #aside = null;
  /** How much of the progress was said: nothing, the beginning, half. */
  #told = 0;

  /** @param {HTMLElement} list @param {import("stkweb/files").Giving} giving */
  constructor(list, giving) {
    this.list = list;
    this.giving = giving;
    addEventListener("online", () => this.wake());
  }

  get #all() {
    return [...this.#rows.keys()];
  }

  get uploads() {
    return this.#aside ?? this.#all;
  }

  get pending() {
    return this.#all.filter((one) => one.pending && !this.#refusal(one));
  }

  get trouble() {
    const bad = this.#all.find((one) => this.#refusal(one) || (!one.pending && one.state !== "ready"));
    return bad && { name: bad.name, text: this.#refusal(bad) || this.#state(bad) };
  }

  /** @returns {Attachment[]} */
  get attachments() {
    return this.#all.filter((one) => one.state === "ready").map(({ id, name, facts }) => ({
      id: id ?? "", name, mime_type: facts.type, type: facts.preview_url ? "image" : "file", preview_url: facts.preview_url ?? undefined,
      stkweb: { size: facts.size, kind: facts.kind, gone: false, download_url: facts.download_url },
    }));
  }

  // -- What is in it ---------------------------------------------------------------------------------

  /** @param {Upload[]} uploads instead of what is there */
  show(uploads) {
    for (const { row } of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#aside = null;
    this.#told = 0;
    for (const one of uploads) this.#add(one);
    this.list.hidden = !this.#rows.size;
  }

  /** After a reload. @param {{id: string, name: string, size: number, type: string}[]} kept */
  restore(kept) {
    this.show([]);
    for (const about of kept) {
      const one = new Upload(about, null, this.giving.meant);
      this.#add(one);
      // One that a message carries by now was sent from another tab.
      one.start().then(() => one.facts.messages?.length && this.#rows.has(one) && this.#leave(one));
    }
  }

  /** @param {Attachment[]} attachments */
  put(attachments, carried = false) {
    for (const { id, name, mime_type: type = "", preview_url, stkweb = {} } of attachments) {
      if (stkweb.gone || this.#all.some((one) => one.id === id)) continue;
      const facts = { ...stkweb, id, name, type, preview_url, state: "ready", carried };
      this.#add(new Upload({ name, size: stkweb.size ?? 0, type, facts }, null, this.giving.meant));
    }
  }

  /** @param {Attachment[]} attachments */
  aside(attachments) {
    const own = this.#all;
    this.show([]);
    this.#aside = own;
    this.put(attachments, true);
  }

  back() {
    if (this.#aside) this.show(this.#aside);
  }

  /** @param {File[]} files @returns {string} the name of the first that is one too many, or "" */
  give(files) {
    for (const file of files) {
      const same = this.#all.find((one) => one.name === file.name && one.size === file.size);
      if (same?.state === "absent") same.resume(file);
      if (same) continue;
      if (this.#rows.size >= this.giving.taking.max_files) return file.name;
      const one = new Upload(file, file, this.giving.meant);
      this.#add(one);
      if (this.#refusal(one)) alarm(`${file.name}: ${this.#refusal(one)}`);
    }
    this.#go();
    return "";
  }

  wake() {
    for (const one of this.#all) if (one.state === "paused") one.start();
  }

  redraw() {
    for (const one of this.#all) this.#draw(one);
    this.#go();
  }

  /** Why it cannot be given to this agent, or "". @param {Upload} one */
  #refusal({ name, size, state }) {
    const { takes, reason, max_bytes: most, types } = this.giving.taking;
    if (!takes) return reason ?? "";
    if (!size && state !== "ready") return t("file_empty");
    if (size > most) return t("file_too_large", { size: sizeOf(size), limit: sizeOf(most) });
    // Of a name without an ending the server judges by the content.
    const told = types && name.includes(".") && state !== "ready";
    if (told && !types.some((end) => name.toLowerCase().endsWith(end))) return t("file_type", { types: types.length > TYPES ? `${types.slice(0, TYPES).join(" ")} …` : types.join(" ") });
    return "";
  }

  /** @param {Upload} one */
  #add(one) {
    const row = this.#row(one);
    this.#rows.set(one, { row, signature: "" });
    one.changed = () => this.#changed(one);
    this.list.append(row);
    this.#changed(one);
  }

  /** As many as may travel at once. */
  #go() {
    const travelling = this.#all.filter((one) => one.state === "uploading" || one.state === "paused");
    const waiting = this.#all.filter((one) => one.state === "waiting" && !one.id && !this.#refusal(one));
    for (const one of waiting.slice(0, Math.max(0, AT_ONCE - travelling.length))) one.start();
  }

  /** @param {Upload} one */
  #changed(one) {
    const known = this.#rows.get(one);
    if (!known) return;
    this.#draw(one);
    this.#tell();
    const signature = `${one.state} ${one.id}`;
    if (signature === known.signature) return;
    known.signature = signature;
    if (one.state === "paused" && one.why.code === "signed_out") this.giving.page.signedOut();
    if (one.state === "refused" || one.state === "failed") alarm(`${one.name}: ${this.#state(one)}`);
    if (one.state !== "uploading") this.#go();
    this.#settled();
  }

  /** Something came, went, or is in another state. */
  #settled() {
    this.list.hidden = !this.#rows.size;
    const kept = this.#all.filter((one) => one.id && one.state !== "refused");
    if (!this.#aside) this.giving.keep(kept.map(({ id, name, size, type }) => ({ id, name, size, type })));
    this.giving.page.changed();
  }

  /** Progress of all together, said at the beginning, half-way and at the end. */
  #tell() {
    const sum = (of) => this.#all.reduce((total, one) => total + of(one), 0);
    const ready = this.#all.filter((one) => one.state === "ready").length;
    const { length } = this.pending;
    if (!length) {
      if (this.#told && ready) say(t("files_ready", { count: ready }));
      this.#told = 0;
    } else if (!this.#told) {
      this.#told = 1;
      say(t("files_coming", { count: length }));
    } else if (this.#told === 1 && sum((one) => one.sent) * 2 >= sum((one) => one.size)) {
      this.#told = 2;
      say(t("files_half"));
    }
  }

  // -- Rows ------------------------------------------------------------------------------------------

  /** @param {Upload} one */
  #row(one) {
    const act = (name, label, symbol, run) => h("button", { class: `square ${name}`, type: "button", "aria-label": label, title: label, onclick: run }, icon(symbol));
    return h("li", { class: "file" },
      h("span", { class: "face", "aria-hidden": "true" }, icon("file")),
      h("span", { class: "about" }, h("span", { class: "name", title: one.name, dir: "auto" }, one.name), h("span", { class: "how num" })),
      act("again", t("file_again", { name: one.name }), "retry", () => this.#again(one)),
      act("away", "", "close", () => this.#remove(one)),
      h("progress", { max: one.size || 1, value: 0, "aria-label": one.name }));
  }

  /** @param {Upload} one */
  #draw(one) {
    const row = this.#rows.get(one)?.row;
    if (!row) return;
    const refusal = this.#refusal(one);
    const state = refusal ? "refused" : one.state;
    row.dataset.state = state;
    const how = row.querySelector(".how");
    const text = refusal ? `${sizeOf(one.size)} · ${refusal}` : `${sizeOf(one.size)} · ${this.#state(one)}`;
    if (how && how.textContent !== text) how.textContent = text;
    const bar = row.querySelector("progress");
    if (bar) {
      bar.value = one.sent;
      bar.hidden = !(one.pending || state === "absent") || Boolean(refusal);
    }
    const away = /** @type {HTMLElement} */ (row.querySelector(".away"));
    const label = t(one.pending && !refusal ? "file_cancel" : "file_remove", { name: one.name });
    away.ariaLabel = away.title = label;
    /** @type {HTMLElement} */ (row.querySelector(".again")).hidden = !["failed", "absent", "paused"].includes(state);
    const image = one.facts.preview_url;
    if (image && !row.querySelector("img")) row.querySelector(".face")?.replaceChildren(h("img", { src: image, alt: "" }));
  }

  /** What is told of it after its size. @param {Upload} one */
  #state({ state, sent, size, why }) {
    const said = why.text || t(`upload_${why.code}`);
    if (state === "uploading") return t("uploading", { percent: number(Math.floor((100 * sent) / (size || 1))) });
    if (state === "paused") return t(why.code === "network" ? "upload_cut" : why.code === "signed_out" ? "upload_signed_out" : "upload_busy");
    if (state === "failed") return why.text || t(why.code === "unreadable" ? "upload_unreadable" : "upload_failed");
    return state === "refused" ? said : t(`upload_${state}`);
  }

  /** @param {Upload} one */
  #again(one) {
    if (one.state === "absent") return this.giving.choose();
    return one.state === "paused" ? one.start() : one.retry();
  }

  /** @param {Upload} one */
  #remove(one) {
    const row = this.#rows.get(one)?.row;
    const beside = row?.nextElementSibling ?? row?.previousElementSibling;
    const next = /** @type {HTMLElement|null|undefined} */ (beside?.querySelector(".away"));
    // What an older message carries stays where it was sent.
    if (!one.facts.carried) one.drop();
    this.#leave(one);
    say(t("file_removed", { name: one.name }));
    if (next) next.focus();
    else this.giving.page.focus();
  }

  /** @param {Upload} one */
  #leave(one) {
    this.#rows.get(one)?.row.remove();
    this.#rows.delete(one);
    this.#go();
    this.#settled();
  }
}
