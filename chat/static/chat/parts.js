// @ts-check
/**
 * The quiet parts of a message, each made from its facts: notices, sources, tokens, actions. Texts
 * become text nodes and nothing else.
 */
import { textOf } from "stkweb/thread";
import { alarm, boot, fill, h, icon, number, say, strings, svg, t } from "stkweb/ui";

/** @typedef {import("stkweb/thread").Item} Item */

export const button = (name, label, symbol) => h("button", { class: "quiet", type: "button", "data-do": name }, icon(symbol), label);
export const main = (name, label, symbol) => h("button", { class: "button small", type: "button", "data-do": name }, icon(symbol), label);
export const waiting = () => h("div", { class: "waiting" }, h("span", { class: "ring", "aria-hidden": "true" }), h("span", {}, t("thinking")));

/** The three sentences for an error. @param {any} error */
export function faultOf(error) {
  const known = strings.faults?.[error?.code] ?? strings.faults?.internal ?? {};
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

export function tokens(usage) {
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
