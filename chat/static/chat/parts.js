// @ts-check
/**
 * The quiet parts of a message, each made from its facts: notices, sources, tokens, actions. Texts
 * become text nodes and nothing else.
 */
import { textOf } from "stkweb/thread";
import { alarm, boot, fill, h, icon, number, say, sizeOf, span, strings, svg, t, time } from "stkweb/ui";

/** @typedef {import("stkweb/thread").Item} Item */
/** @typedef {{idle: boolean, onward: boolean}} Open nothing is being written; this answer may be continued */

/** Failures that the same question would meet again. */
const NEEDS_OTHER_WORDS = new Set(["prompt_too_long", "filtered"]);

export const button = (name, label, symbol) => h("button", { class: "quiet", type: "button", "data-do": name }, icon(symbol), label);
const main = (name, label, symbol) => h("button", { class: "button small", type: "button", "data-do": name }, icon(symbol), label);

/** Seconds of waiting that are not counted aloud, that are called long, and between two times that is spoken. */
const SHORT = 5, LONG = 10, SPOKEN = 60;

/** The line where an answer will be: how long it has waited, for what, and until when. */
export class Waiting {
  /** True once the agent thinks aloud: it has begun. */
  thinking = false;
  #since = performance.now();
  #waited = /** @type {number|null} */ (null);
  #place = /** @type {{before: number, seconds: number}|null} */ (null);
  #said = LONG;

  /** @param {HTMLElement|null} [drawn] the line as the server drew it */
  constructor(drawn) {
    this.element = drawn ?? h("div", { class: "waiting" }, h("span", { class: "ring", "aria-hidden": "true" }), h("span", {}, t("thinking")));
    const timer = setInterval(() => (this.element.isConnected ? this.#tell() : clearInterval(timer)), 1000);
  }

  /** What the server knows of it: its place in the queue, or the seconds since the agent was asked. @param {import("stkweb/thread").Extra} facts */
  show({ place = null, waited = null }) {
    const moved = place && place.before !== this.#place?.before;
    if (waited !== this.#waited || (this.#place && !place)) this.#since = performance.now() - (waited ?? 0) * 1000;
    this.#waited = waited;
    this.#place = place;
    const text = this.#tell();
    // Each step forward is said, a changed estimate is not.
    if (moved) say(text);
  }

  #tell() {
    const text = this.#text((performance.now() - this.#since) / 1000);
    this.element.lastElementChild.textContent = text;
    return text;
  }

  #text(seconds) {
    if (this.#place) {
      const { before, seconds: about } = this.#place;
      return before ? t("place", { count: before, seconds: number(about) }) : t("place_next", { seconds: number(about) });
    }
    if (seconds < SHORT) return t("thinking");
    if (seconds < LONG || this.thinking) return t("thinking_for", { time: span(Math.floor(seconds)) });
    const limit = boot.limits?.first_byte_seconds ?? 0;
    const text = t(seconds < limit ? "waiting_long" : "waiting_on", { time: span(Math.floor(seconds)), limit: span(limit) });
    if (seconds >= this.#said) {
      this.#said = seconds + SPOKEN;
      say(text);
    }
    return text;
  }
}

/** Seconds until the agent takes the question again, as it told us when it refused. @param {Item} item */
export function pauseOf(item) {
  const { error, ended_at: ended } = item.stkweb ?? {};
  const asked = Number(error?.params?.retry_after) || 0;
  const passed = ended ? (Date.now() - Date.parse(ended)) / 1000 : 0;
  return Math.max(0, asked - Math.max(0, passed));
}

/** A button that lights up when the pause is over, and the line that counts down. @param {HTMLElement} way @param {number} seconds */
function paused(way, seconds) {
  const until = Date.now() + seconds * 1000;
  const line = h("p", { class: "pause num" });
  const tell = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    line.textContent = left > 3600 ? t("pause_until", { time: time(until) }) : t("pause", { time: span(left) });
    return left > 0;
  };
  way.setAttribute("aria-disabled", "true");
  tell();
  const timer = setInterval(() => {
    if (line.isConnected && tell()) return;
    clearInterval(timer);
    if (line.isConnected) say(t("pause_over"));
    way.removeAttribute("aria-disabled");
    line.remove();
  }, 1000);
  return line;
}

/** How an answer ended, where it did not end well, and the one way on. @param {Item} item @param {Open} open */
export function notice(item, { idle, onward }) {
  const { state, error } = item.stkweb ?? {};
  if (state === "stopped") return h("div", { class: "state stopped" }, icon("stop"), h("div", {}, h("p", {}, stopped(item))));
  if (state !== "failed" && state !== "interrupted") return null;
  const fault = faultOf(error, !textOf(item), onward);
  const way = NEEDS_OTHER_WORDS.has(error?.code ?? "") ? main("edit-question", t("edit_question"), "edit")
    : onward ? main("continue", t("continue"), "continue")
    : main("retry", t("retry"), "retry");
  const pause = idle ? pauseOf(item) : 0;
  return h("div", { class: `state ${state}` }, icon(state === "interrupted" ? "cut" : "alert"),
    h("div", {}, h("p", {}, fault.sentence), h("p", {}, `${fault.kept} ${fault.next}`.trim()), pause > 0 && paused(way, pause), idle && way,
      error?.id && h("p", { class: "ref" }, t("error_id"), " ", h("code", {}, error.id))));
}

/** @param {Item} item */
const stopped = (item) => t(textOf(item) ? "stopped" : "stopped_bare");

/** The quiet row under an answer: its tokens, and what may be done with it. @param {Item} item @param {Open} open */
export function foot(item, { idle, onward }) {
  const { state, usage, estimated } = item.stkweb ?? {};
  const failed = state === "failed" || state === "interrupted";
  const acts = h("div", { class: "acts" }, siblings(item), Boolean(textOf(item)) && button("copy", t("copy"), "copy"),
    idle && (!failed || onward) && button("retry", t("retry"), "retry"),
    idle && !failed && onward && button("continue", t("continue"), "continue"));
  return h("div", { class: "foot" }, tokens(usage, estimated), acts);
}

/**
 * The three sentences for an error.
 * @param {any} error @param {boolean} bare whether nothing of the answer had arrived @param {boolean} onward whether it may be continued
 */
function faultOf(error, bare, onward) {
  const told = strings.faults?.[error?.code] ?? strings.faults?.internal ?? {};
  const known = { ...told, ...(bare && told.bare), ...(!onward && told.bare && { next: told.bare.next }) };
  const params = error?.params ?? {};
  const said = (name) => fill(known[name] ?? "", params);
  return { sentence: said("sentence") || t("failed"), kept: said("kept"), next: said("next") };
}

export function sources(list) {
  const link = (source) => /^https?:\/\//i.test(source.url ?? "")
    ? h("a", { href: source.url, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, source.title)
    : source.title;
  return h("div", { class: "sources" }, t("sources"), " ", h("ol", {}, ...list.map((source) => h("li", {}, link(source)))));
}

/** Folded cards of the tools that an answer called. @param {Item[]} made @param {boolean} over @param {Set<string|undefined>} open @param {string} thread */
export function calls(made, over, open, thread) {
  return h("div", { class: "calls" }, ...made.map((call) => {
    const state = call.status === "completed" ? "completed" : over || call.stkweb?.over ? "over" : "pending";
    const json = (value) => h("pre", { tabindex: "0", dir: "auto" }, typeof value === "string" ? value : JSON.stringify(value ?? null, null, 2));
    const fold = h("details", { class: `call ${state}`, "data-call": call.id },
      h("summary", {}, icon("tool"), h("code", {}, call.name), " ", h("span", {}, t(`call_${state}`)), icon("down", "fold")),
      h("h3", {}, t("arguments")), json(call.arguments),
      state === "completed" && h("h3", {}, t("output")), state === "completed" && json(call.output),
      state === "pending" && h("form", { method: "post", action: `/c/${thread}/tool-output/` },
        h("input", { type: "hidden", name: "call", value: call.id }),
        h("label", {}, t("output"), h("textarea", { class: "input", name: "output", rows: "3", required: "", dir: "auto" })),
        h("button", { class: "button small", type: "submit" }, t("give_output"))));
    fold.open = open.has(call.id);
    return fold;
  }));
}

/** The files that a question carries. @param {import("stkweb/files").Attachment[]} files */
export function attachments(files) {
  return h("ul", { class: "files", "aria-label": t("files") }, ...files.map(({ name, preview_url: preview, stkweb: { size = 0, gone = false, download_url: url = null } = {} }) => {
    const face = h("span", { class: "face" }, preview && !gone ? h("img", { src: preview, alt: name, loading: "lazy" }) : icon("file"));
    const about = h("span", { class: "about" }, h("span", { class: "name", title: name, dir: "auto" }, name), h("span", { class: "how num" }, gone ? t("file_gone") : sizeOf(size)));
    return h("li", {}, url && !gone ? h("a", { class: "file", href: url, download: true }, face, about, icon("download")) : h("span", { class: "file gone" }, face, about));
  }));
}

export function siblings(item) {
  const ids = item.stkweb?.siblings ?? [];
  if (ids.length < 2) return null;
  const at = ids.indexOf(item.id);
  const kind = item.type === "user_message" ? "question" : "answer";
  const go = (to, label, symbol) => to && h("button", { class: "quiet", type: "button", "data-do": "show", value: to, "aria-label": label }, icon(symbol));
  return h("span", { class: "which num" }, go(ids[at - 1], t(`previous_${kind}`), "left"), `${number(at + 1)}/${number(ids.length)}`, go(ids[at + 1], t(`next_${kind}`), "right"));
}

/** What a person should know of how the answer came about. @param {any} facts */
export function told(facts) {
  const lines = ["trimmed", "continued"].filter((name) => facts[name] > 0);
  return lines.length ? h("div", { class: "told" }, ...lines.map((name) => h("p", {}, t(name, { count: facts[name] })))) : null;
}

/** @param {any} usage as the agent reported it @param {number|null} [estimated] tokens of a call that was cut off, by our estimate */
function tokens(usage, estimated) {
  const kinds = ["user", "enrichment", "output"];
  const about = (key) => h("span", {}, t(key, { total: number(estimated ?? 0) }));
  if (!usage || kinds.every((kind) => usage[kind] == null)) return h("div", { class: "tokens" }, estimated ? about("tokens_estimated") : t("tokens_unknown"));
  const total = usage.total ?? kinds.reduce((sum, kind) => sum + (usage[kind] ?? 0), 0);
  const sum = kinds.reduce((all, kind) => all + (usage[kind] ?? 0), 0) || 1;
  const bar = svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  for (const kind of kinds) {
    const width = (100 * (usage[kind] ?? 0)) / sum;
    bar.append(svg("rect", { class: kind, x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 6 }));
    x += width;
  }
  const said = (kind) => (usage[kind] == null ? t(`${kind}_unknown`) : t(`${kind}_tokens`, { n: number(usage[kind]) }));
  return h("div", { class: "tokens" }, bar, h("span", {}, t("tokens", { total: number(total) })),
    h("ul", {}, ...kinds.map((kind) => h("li", {}, h("i", { class: kind, "aria-hidden": "true" }), said(kind)))), estimated && about("tokens_and_estimated"));
}

/**
 * How far a budget is used, in the words of chat/actions/budgets.py.
 * @param {{scope: string, name: string|null, percent: number, limit: number, currency: string|null, resets_at: string}} facts
 */
export function budgetText({ scope, name, percent, limit, currency, resets_at: resets }) {
  const money = () => `${limit.toLocaleString(boot.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 })} ${currency}`;
  const when = new Date(resets).toLocaleString(boot.language, { dateStyle: "short", timeStyle: "short" });
  return t(`budget_${scope}`, { percent: number(percent), name: name ?? "", limit: currency ? money() : t("tokens", { total: number(limit) }), resets: when });
}

/** Says how an answer ended, once. @param {Item} item */
export function announceEnd(item) {
  const state = item.stkweb?.state;
  if (state === "failed" || state === "interrupted") return alarm(faultOf(item.stkweb?.error, false, true).sentence);
  if (state === "stopped") return say(stopped(item));
  say(t("ready", { count: textOf(item).split(/\s+/).filter(Boolean).length }));
}

/** Copies text; works on plain http too, where the clipboard is closed to pages. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = h("textarea", { class: "sr", "aria-hidden": "true" });
    const focused = /** @type {HTMLElement|null} */ (document.activeElement);
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    focused?.focus();
  }
  say(t("copied"));
}

/** @param {string} id @returns {{id: string, name: string}} an agent of the page, the first where it is gone */
export const agentOf = (id) => boot.agents?.find((agent) => agent.id === id) ?? boot.agents?.[0] ?? { id: "", name: "" };

/** Characters of a title made from a question. */
const TITLE = 60;
/** The title that the server will make of a first question (title_from in chat/actions/text.py). @param {string} question */
export function titleFrom(question) {
  const words = question.trim().split(/\s+/).join(" ");
  const line = words.replace(/^[#>*`\-\s]+/, "") || words;
  if (line.length <= TITLE) return line;
  const cut = line.slice(0, TITLE - 1);
  const space = cut.lastIndexOf(" ");
  return `${(space > TITLE / 2 ? cut.slice(0, space) : cut).replace(/[ ,.;:]+$/, "")}…`;
}

/**
 * The renderer, which comes when an answer has need of it: a page that is only read does without.
 * Where its file is gone (a deployment in between) the words alone are shown.
 */

/** @type {any} the renderer once it is there */
export let markdown = null;

export async function loadMarkdown() {
  markdown ??= await Promise.all([import("stkweb/markdown"), import("stkweb/markdown-stream")])
    .then(([whole, live]) => ({ ...whole, ...live }))
    .catch(() => unrendered);
  markdown.setLabels({ open: strings.open, image: strings.image, table: strings.table });
  return markdown;
}

const unrendered = {
  setLabels: () => {},
  StreamRenderer: class {
    constructor(element) {
      this.element = element;
    }
    update(text) {
      unrendered.renderInto(this.element, text);
    }
    finish(text) {
      unrendered.renderInto(this.element, text);
    }
  },
  renderInto: (element, text) => element.replaceChildren(h("pre", { class: "plain", dir: "auto" }, text)),
};

/** Copy buttons, colours and formulas of a text that is whole. @param {Element} element */
export async function enhance(element) {
  if (!element.querySelector(".code, .math, pre")) return;
  const extra = await import("stkweb/markdown-enhance").catch(() => null);
  extra?.enhanceBlocks(element, { strings, announce: say });
}
