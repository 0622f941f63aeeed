// @ts-check
/**
 * The quiet parts of a message, each made from its facts: notices, sources, tokens, actions. Texts
 * become text nodes and nothing else.
 */
import { textOf } from "stkweb/thread";
import { alarm, boot, fill, h, icon, number, say, strings, svg, t } from "stkweb/ui";

/** @typedef {import("stkweb/thread").Item} Item */
/** @typedef {{idle: boolean, onward: boolean}} Open nothing is being written; this answer may be continued */

/** Failures that the same question would meet again. */
const NEEDS_OTHER_WORDS = new Set(["prompt_too_long", "filtered"]);

export const button = (name, label, symbol) => h("button", { class: "quiet", type: "button", "data-do": name }, icon(symbol), label);
const main = (name, label, symbol) => h("button", { class: "button small", type: "button", "data-do": name }, icon(symbol), label);
export const waiting = () => h("div", { class: "waiting" }, h("span", { class: "ring", "aria-hidden": "true" }), h("span", {}, t("thinking")));

/** How an answer ended, where it did not end well, and the one way on. @param {Item} item @param {Open} open */
export function notice(item, { idle, onward }) {
  const { state, error } = item.stkweb ?? {};
  if (state === "stopped") return h("div", { class: "state stopped" }, icon("stop"), h("div", {}, h("p", {}, t("stopped"))));
  if (state !== "failed" && state !== "interrupted") return null;
  const fault = faultOf(error);
  const way = NEEDS_OTHER_WORDS.has(error?.code ?? "") ? main("edit-question", t("edit_question"), "edit")
    : onward ? main("continue", t("continue"), "continue")
    : main("retry", t("retry"), "retry");
  return h("div", { class: `state ${state}` }, icon(state === "interrupted" ? "cut" : "alert"),
    h("div", {}, h("p", {}, fault.sentence), h("p", {}, `${fault.kept} ${fault.next}`.trim()), idle && way,
      error?.id && h("p", { class: "ref" }, t("error_id"), " ", h("code", {}, error.id))));
}

/** The quiet row under an answer: its tokens, and what may be done with it. @param {Item} item @param {Open} open */
export function foot(item, { idle, onward }) {
  const { state, usage } = item.stkweb ?? {};
  const failed = state === "failed" || state === "interrupted";
  const acts = h("div", { class: "acts" }, siblings(item), button("copy", t("copy"), "copy"),
    idle && (!failed || onward) && button("retry", t("retry"), "retry"),
    idle && !failed && onward && button("continue", t("continue"), "continue"));
  return h("div", { class: "foot" }, tokens(usage), acts);
}

/** The three sentences for an error. @param {any} error @param {boolean} [bare] whether nothing of the answer had arrived */
export function faultOf(error, bare = false) {
  const told = strings.faults?.[error?.code] ?? strings.faults?.internal ?? {};
  const known = bare ? { ...told, ...told.bare } : told;
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

function tokens(usage) {
  const kinds = ["user", "enrichment", "output"];
  if (!usage || kinds.every((kind) => usage[kind] == null)) return h("div", { class: "tokens" }, t("tokens_unknown"));
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
    h("ul", {}, ...kinds.map((kind) => h("li", {}, h("i", { class: kind, "aria-hidden": "true" }), said(kind)))));
}

/** Says how an answer ended, once. @param {Item} item */
export function announceEnd(item) {
  const state = item.stkweb?.state;
  if (state === "failed" || state === "interrupted") return alarm(faultOf(item.stkweb?.error).sentence);
  if (state === "stopped") return say(t("stopped"));
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
