// @ts-check
/**
 * The list of conversations: what each is doing now, in groups by day, found by title, renamed, and
 * deleted with a way back. It knows titles and states; what is said in them is the transcript's.
 */
import { request } from "stkweb/net";
import { $, alarm, ask, daysAgo, h, icon, language, say, t, toast } from "stkweb/ui";

/** Seconds in which a deletion can be taken back. */
const UNDO = 10;
/** Milliseconds in which several ended answers are asked about once. */
const JOINED = 500;

/** @typedef {{id: string, title: string, updated_at: string, running: boolean, unread: boolean, element?: HTMLElement}} Row */

const month = new Intl.DateTimeFormat(language, { month: "long", year: "numeric" });
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase(language);

export class Sidebar {
  /** @type {Map<string, Row>} */
  rows = new Map();
  #chosen = "";
  #counting = 0;

  /** @param {{current: () => string|null, open: (id: string|null) => void, renamed: (id: string, title: string) => void, gone: (id: string) => void}} page */
  constructor(page) {
    this.page = page;
    this.nav = $("conversations");
    this.find = $("find");
    this.menu = h("div", { class: "float", popover: "auto", id: "row-menu" },
      h("button", { class: "row", type: "button", onclick: () => this.#choose((id) => this.rename(id)) }, icon("edit"), t("rename")),
      h("button", { class: "row danger", type: "button", onclick: () => this.#choose((id) => this.remove(id)) }, icon("delete"), t("delete")));
    $("list").append(this.menu);
    for (const element of this.nav.querySelectorAll(".conversation")) this.#adopt(element);
    this.draw();
    this.nav.addEventListener("click", (event) => this.#click(event));
    this.menu.addEventListener("toggle", (event) => {
      for (const button of this.nav.querySelectorAll(".square")) {
        button.setAttribute("aria-expanded", String(event.newState === "open" && button.parentElement.dataset.id === this.#chosen));
      }
    });
    this.find.addEventListener("input", () => this.draw());
    this.find.addEventListener("keydown", (event) => this.#findKey(event));
  }

  #adopt(element) {
    const { id, updated, running } = element.dataset;
    const title = element.querySelector(".title").textContent;
    this.rows.set(id, { id, title, updated_at: updated, running: Boolean(running), unread: element.classList.contains("unread"), element });
    element.append(this.#options(title));
  }

  #options(title) {
    return h("button", { class: "square", type: "button", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": t("options", { title }) }, icon("more"));
  }

  /** @param {Partial<Row> & {id: string}} change what is new about a conversation */
  put(change) {
    const row = this.rows.get(change.id) ?? { id: change.id, title: "", updated_at: new Date().toISOString(), running: false, unread: false };
    Object.assign(row, change);
    this.rows.set(row.id, row);
    this.draw();
  }

  /** @param {Row[]} rows the whole list as the server has it */
  replace(rows) {
    this.count();
    const before = this.rows;
    const seen = (row) => row.id === this.page.current() && !document.hidden;
    this.rows = new Map(rows.map((row) => [row.id, { ...before.get(row.id), ...row, unread: row.unread && !seen(row) }]));
    const open = before.get(this.page.current() ?? "");
    if (open && !this.rows.has(open.id)) this.rows.set(open.id, open);
    this.draw();
  }

  /** @param {{type: string, conversation: any}} event of the feed */
  apply(event) {
    const { id, title, updated_at, state, unread } = event.conversation;
    const known = this.rows.get(id);
    if (event.type === "conversation.finished") this.count();
    if (event.type === "conversation.deleted") {
      this.rows.delete(id);
      this.draw();
      if (id === this.page.current()) this.page.gone(id);
      return;
    }
    // Of a conversation that is not in the list this tells too little to show it.
    if (!known && !title) return;
    // What is open in front of somebody is read.
    const seen = id === this.page.current() && !document.hidden;
    this.put({ id, title: title ?? known?.title ?? "", updated_at: updated_at ?? known?.updated_at ?? new Date().toISOString(), running: state === "running", unread: Boolean(unread) && !seen });
    if (known && title && known.title !== title) this.page.renamed(id, title);
    else if (id === this.page.current() && title) this.page.renamed(id, title);
  }

  /** The line of one's own use, as the server counts it now; where that fails it stays as it was. */
  count() {
    clearTimeout(this.#counting);
    this.#counting = setTimeout(async () => {
      const now = await request("/usage/now/").catch(() => null);
      if (!now?.text) return;
      const line = $("use");
      line.className = `use ${now.level}`.trim();
      line.children[1].textContent = now.text;
      line.lastElementChild.toggleAttribute("hidden", now.percent === null);
      line.querySelector("rect").setAttribute("width", String(now.percent ?? 0));
    }, JOINED);
  }

  draw() {
    const focused = /** @type {HTMLElement|null} */ (document.activeElement);
    const wanted = plain(this.find.value.trim());
    const rows = [...this.rows.values()]
      .filter((row) => !wanted || plain(row.title).includes(wanted))
      .sort((a, b) => (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0));
    /** @type {Map<string, HTMLElement[]>} */
    const groups = new Map();
    for (const row of rows) {
      const label = groupOf(row.updated_at);
      if (!groups.has(label)) groups.set(label, []);
      groups.get(label)?.push(this.#row(row));
    }
    const sections = [...groups].map(([label, elements]) => h("section", {}, h("h2", {}, label), h("ul", {}, ...elements)));
    if (!rows.length) sections.push(wanted ? this.#nothing() : h("p", { class: "none" }, t("no_conversations")));
    const { scrollTop } = this.nav;
    this.nav.replaceChildren(...sections);
    this.nav.scrollTop = scrollTop;
    if (focused && this.nav.contains(focused)) focused.focus({ preventScroll: true });
  }

  #nothing() {
    return h("p", { class: "none" }, t("nothing_found"), " ",
      h("button", { class: "link", type: "button", onclick: () => this.#clear() }, t("clear_search")));
  }

  /** @param {Row} row @returns {HTMLElement} */
  #row(row) {
    row.element ??= h("li", { class: "conversation", "data-id": row.id }, h("a", { href: `/c/${row.id}/` }, h("span", { class: "title", dir: "auto" })), this.#options(row.title));
    const { element } = row;
    const link = /** @type {HTMLElement} */ (element.firstElementChild);
    const title = /** @type {HTMLElement} */ (link.firstElementChild);
    const kind = row.running ? "ring" : row.unread ? "dot" : "";
    element.classList.toggle("unread", row.unread);
    if (title.textContent !== row.title) {
      title.textContent = row.title;
      element.lastElementChild?.setAttribute("aria-label", t("options", { title: row.title }));
    }
    const mark = link.querySelector(".mark");
    if (!mark?.classList.contains(kind || "none")) {
      mark?.remove();
      if (kind) link.append(h("span", { class: `mark ${kind}` }, h("span", { class: "sr" }, t(row.running ? "answering_now" : "new_answer"))));
    }
    if (row.id === this.page.current()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    return element;
  }

  #click(event) {
    const item = event.target.closest(".conversation");
    if (!item) return;
    const button = event.target.closest(".square");
    if (button) return this.#show(item.dataset.id, button);
    // A new tab is the browser's business.
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.page.open(item.dataset.id);
  }

  #show(id, button) {
    this.#chosen = id;
    this.menu.showPopover({ source: button });
    const at = button.getBoundingClientRect();
    const size = this.menu.getBoundingClientRect();
    this.menu.style.inset = "auto";
    this.menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
    this.menu.style.top = `${Math.min(at.bottom + 4, innerHeight - size.height - 8)}px`;
    this.menu.firstElementChild.focus();
  }

  #choose(run) {
    this.menu.hidePopover();
    run(this.#chosen);
  }

  #findKey(event) {
    if (event.key === "Escape" && this.find.value) {
      event.preventDefault();
      event.stopPropagation();
      this.#clear();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      const first = this.nav.querySelector("a");
      if (!first) return;
      event.preventDefault();
      if (event.key === "Enter") first.click();
      else first.focus();
    }
  }

  #clear() {
    this.find.value = "";
    this.draw();
    this.find.focus();
  }

  #link(id) {
    return /** @type {HTMLElement|null} */ (this.rows.get(id)?.element?.firstElementChild ?? null);
  }

  /** @param {string} id @param {HTMLElement} [opener] where the focus returns to; else to the conversation */
  async rename(id, opener) {
    const row = this.rows.get(id);
    const title = await ask(t("rename_title"), t("new_title"), row?.title ?? "");
    (opener ?? this.#link(id))?.focus();
    if (!title || title === row?.title) return;
    try {
      await request(`/c/${id}/rename/`, { json: { title } });
      this.put({ id, title });
      this.page.renamed(id, title);
      say(t("renamed"));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** @param {string} id */
  async remove(id) {
    const row = this.rows.get(id);
    if (!row) return;
    const links = [...this.nav.querySelectorAll(".conversation a")];
    const at = links.findIndex((link) => link.parentElement === row.element);
    const near = /** @type {HTMLElement} */ (links[at + 1] ?? links[at - 1] ?? $("new"));
    const open = id === this.page.current();
    try {
      await request(`/c/${id}/delete/`, { json: {} });
    } catch (error) {
      return this.#failed(error);
    }
    this.rows.delete(id);
    this.draw();
    if (open) this.page.open(null);
    near.focus();
    toast(t("deleted", { title: row.title }), { action: t("undo"), seconds: UNDO, run: () => this.#restore(row, open) });
    return undefined;
  }

  async #restore(row, open) {
    try {
      await request(`/c/${row.id}/restore/`, { json: {} });
      this.put(row);
      say(t("restored"));
      if (open) this.page.open(row.id);
      else this.#link(row.id)?.focus();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error) {
    const text = error.code === "network" ? t("no_connection") : error.message || t("failed");
    alarm(text);
    toast(text);
  }
}

function groupOf(when) {
  const days = daysAgo(when);
  if (days === 0) return t("today");
  if (days === 1) return t("yesterday");
  return days <= 7 ? t("last_week") : month.format(new Date(when));
}
