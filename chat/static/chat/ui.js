// @ts-check
/**
 * Small things that every part of the page uses: its strings, elements, numbers as people read
 * them, what is spoken, toasts, dialogs, and the view that follows the text.
 * Elements are built, never parsed: no string becomes HTML here.
 */
import { follow } from "stkweb/thread";

/** @template T @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

const read = (id) => JSON.parse($(id)?.textContent || "{}");
export const strings = read("strings");
export const boot = read("boot");
export const language = document.documentElement.lang || "en";
export const MAC = /Mac|iP(hone|ad|od)/.test(navigator.platform);

/** A string of the page with `{names}` filled in; `count` picks the plural. @param {string} key @param {Record<string, any>} [values] */
export function t(key, values = {}) {
  const form = "count" in values ? `${key}_${plurals.select(values.count) === "one" ? "one" : "other"}` : key;
  const text = strings[form] ?? strings[key] ?? key;
  return fill(text, "count" in values ? { ...values, count: number(values.count) } : values);
}
const plurals = new Intl.PluralRules(language);

/** @param {string} text @param {Record<string, any>} values */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

/**
 * An element. `on…` are listeners, `null` and `false` are left out, `true` is an empty attribute.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Node|string|null|undefined|false)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(.../** @type {any} */ (children.filter((child) => child !== null && child !== undefined && child !== false)));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
/** @param {string} tag @param {Record<string, any>} attributes @param {...Node} children */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}
/** @param {string} name @param {string} [kind] */
export const icon = (name, kind = "") =>
  svg("svg", { class: `icon ${kind}`.trim(), "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));

// -- Numbers and times --------------------------------------------------------------------------

const integers = new Intl.NumberFormat(language);
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
// The page's language in the person's own manner: en-GB and en-US tell the time differently.
const manner = navigator.languages.find((one) => one.toLowerCase().startsWith(language.slice(0, 2))) ?? language;
const clock = new Intl.DateTimeFormat(manner, { timeStyle: "short" });
const dayClock = new Intl.DateTimeFormat(manner, { dateStyle: "medium", timeStyle: "short" });
const whole = new Intl.DateTimeFormat(manner, { dateStyle: "full", timeStyle: "long" });

export const number = (value) => integers.format(value);
/** @param {string|number|Date} when the time alone today, with the day before */
export const time = (when) => (daysAgo(when) > 0 ? dayClock : clock).format(new Date(when));
export const wholeTime = (when) => whole.format(new Date(when));
export function duration(milliseconds) {
  if (milliseconds < 50) return t("under", { seconds: tenths.format(0.1) });
  if (milliseconds < 60_000) return t("seconds", { seconds: tenths.format(Math.floor((milliseconds + 50) / 100) / 10) });
  const seconds = Math.floor((milliseconds + 500) / 1000);
  return t("minutes", { minutes: Math.floor(seconds / 60), seconds: seconds % 60 });
}
/** Whole seconds as a wait is told: "34 s", "2 min", "2 min 5 s". @param {number} seconds */
export function span(seconds) {
  const rest = Math.max(0, Math.round(seconds));
  if (rest < 60) return t("seconds", { seconds: number(rest) });
  const minutes = Math.floor(rest / 60);
  return rest % 60 ? t("minutes", { minutes, seconds: rest % 60 }) : t("whole_minutes", { minutes });
}
/** @param {number} bytes as "812 B", "48 KB", "3.2 MB"; 1024 of one are the next */
export function sizeOf(bytes) {
  const step = bytes < 1024 ? 0 : bytes < 1024 * 1024 ? 1 : 2;
  const tenth = Math.round((bytes * 10) / 1024 ** step) / 10;
  const value = step < 2 ? Math.ceil(bytes / 1024 ** step) : tenth;
  return `${(Number.isInteger(value) ? integers : tenths).format(value)}\u00a0${["B", "KB", "MB"][step]}`;
}
/** Calendar days between then and now in the person's zone; a clock that is ahead is "today". */
export function daysAgo(when, now = new Date()) {
  const midnight = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.max(0, Math.round((midnight(now) - midnight(new Date(when))) / 86_400_000));
}
/** @param {string} when an element that says a time, whole on hover */
export const timeElement = (when) => h("time", { datetime: when, title: wholeTime(when) }, time(when));

// -- Speech ---------------------------------------------------------------------------------------

/** Says something once, when there is a pause. @param {string} text */
export const say = (text) => speak($("polite"), text);
/** Says something at once. For errors. @param {string} text */
export const alarm = (text) => speak($("urgent"), text);
function speak(region, text) {
  region.textContent = "";
  // A region is read when it changes after it was seen empty.
  setTimeout(() => (region.textContent = text), 60);
}

/** Choices of this browser alone; nothing that was written is kept here. */
export const choice = {
  get: (name, fallback) => localStorage.getItem(`stkweb.${name}`) ?? fallback,
  set: (name, value) => localStorage.setItem(`stkweb.${name}`, value),
};

// -- Toasts and dialogs -----------------------------------------------------------------------------

/** A short message with at most one action; it waits while it is pointed at or focused. */
export function toast(text, { action = "", run = () => {}, seconds = 6 } = {}) {
  const element = h("div", { class: "toast", role: "status" }, h("span", {}, text));
  const close = () => element.remove();
  let timer = setTimeout(close, seconds * 1000);
  const hold = () => clearTimeout(timer);
  const go = () => (timer = setTimeout(close, seconds * 1000));
  if (action) element.append(h("button", { type: "button", onclick: () => (close(), run()) }, action));
  for (const name of ["pointerenter", "focusin"]) element.addEventListener(name, hold);
  for (const name of ["pointerleave", "focusout"]) element.addEventListener(name, go);
  $("toasts").replaceChildren(element);
  return close;
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || /** @type {Element} */ (event.target).closest("[data-close]")) dialog.close();
  });
}

/** Asks for one line. @returns {Promise<string|null>} null when it was left */
export function ask(title, label, value) {
  const dialog = $("ask");
  const field = $("ask-field");
  $("ask-title").textContent = title;
  dialog.querySelector("label").textContent = label;
  field.value = value;
  dialog.returnValue = "";
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const take = (event) => {
      event.preventDefault();
      dialog.close("ok");
    };
    form.addEventListener("submit", take);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", take);
      resolve(dialog.returnValue === "ok" ? field.value.trim() : null);
    }, { once: true });
  });
}

// -- The view that follows -----------------------------------------------------------------------------

/** Ties the rule of `follow()` to a scroller: gestures let go, the end takes hold. */
export class Scroller {
  #state = { following: true, news: false };
  #last = 0;
  #held = false;
  #touch = 0;

  /** @param {HTMLElement} element @param {HTMLElement} pill the button back to the end */
  constructor(element, pill) {
    this.element = element;
    this.pill = pill;
    const on = (name, listener) => element.addEventListener(name, listener, { passive: true });
    on("wheel", (event) => event.deltaY < 0 && this.#up());
    on("touchstart", (event) => (this.#touch = event.touches[0].clientY));
    on("touchmove", (event) => event.touches[0].clientY > this.#touch + 2 && this.#up());
    on("pointerdown", (event) => (this.#held = event.target === element || event.pointerType === "mouse"));
    addEventListener("pointerup", () => (this.#held = false), { passive: true });
    element.addEventListener("keydown", (event) => {
      if (["PageUp", "ArrowUp", "Home"].includes(event.key) || (event.key === " " && event.shiftKey)) this.#up();
    });
    on("focusin", (event) => event.target !== element && this.distance(event.target) < -40 && this.#up());
    on("scroll", () => this.#moved());
    pill.addEventListener("click", () => this.jump());
    new ResizeObserver(() => this.grew(false)).observe(element);
    for (const child of element.children) new ResizeObserver(() => this.grew(false)).observe(child);
    this.#last = element.scrollTop;
  }

  get following() {
    return this.#state.following;
  }

  /** Pixels from the end of the view to the end of the text, or to that of an element. */
  distance(target) {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    if (!target) return scrollHeight - scrollTop - clientHeight;
    return target.getBoundingClientRect().bottom - this.element.getBoundingClientRect().top;
  }

  #next(event) {
    this.#state = follow(this.#state, event);
    this.pill.hidden = this.#state.following || this.distance() < 40;
    this.pill.lastElementChild.textContent = t(this.#state.news ? "jump_new" : "jump");
  }

  #up() {
    this.#next({ type: "up", scrollable: this.element.scrollHeight > this.element.clientHeight + 1 });
  }

  #moved() {
    const top = this.element.scrollTop;
    // Strictly: the event of an end that was reached before the gesture may come after it.
    const down = top > this.#last;
    // Dragging the scroll bar is a gesture too: nothing else moves the view up while a button is held on it.
    if (!down && this.#held) this.#up();
    this.#last = top;
    this.#next({ type: "moved", distance: this.distance(), down });
  }

  /** The text grew, or the view changed its size. @param {boolean} news whether there is something new to read */
  grew(news = true) {
    if (news) this.#next({ type: "grew" });
    if (this.#state.following && !this.#held) this.toEnd();
    else this.#next({ type: "none" });
  }

  toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
    this.#last = this.element.scrollTop;
  }

  jump() {
    this.#next({ type: "jump" });
    this.toEnd();
    this.#next({ type: "none" });
  }

  /**
   * Change something above the view without moving what is being read. Messages that come near the view take their
   * real height only then, so the place is held for a few frames. @param {() => void} change
   */
  keep(change) {
    const edge = this.element.getBoundingClientRect().top;
    const anchor = [...this.element.querySelectorAll("article")].find((one) => one.getBoundingClientRect().bottom > edge);
    const place = anchor?.getBoundingClientRect().top ?? 0;
    this.element.classList.add("still");
    const hold = (frames) => {
      if (anchor) this.element.scrollTop += anchor.getBoundingClientRect().top - place;
      this.#last = this.element.scrollTop;
      if (frames) requestAnimationFrame(() => hold(frames - 1));
      else this.element.classList.remove("still");
    };
    change();
    hold(4);
  }

  /** @param {number|undefined} top where it was, or undefined for the end */
  restore(top) {
    if (top === undefined) return this.jump();
    this.#state = { following: false, news: false };
    this.element.scrollTop = this.#last = top;
    this.#next({ type: "moved", distance: this.distance(), down: true });
  }
}
