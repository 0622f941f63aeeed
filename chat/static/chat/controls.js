// @ts-check
/**
 * Controls that stand apart from any conversation: settings, shortcuts, the dialogs' switches, and
 * the keyboard of a phone. What a key does to a conversation is the page's to say.
 */
import { request } from "stkweb/net";
import { $, MAC, boot, choice } from "stkweb/ui";

/**
 * @param {{composer: import("stkweb/composer").Composer, running: () => boolean, stop: () => void, begin: () => void,
 *   editLast: () => boolean, chosen: () => void, failed: (error: any) => void}} page
 */
export function controls(page) {
  settings(page);
  shortcuts(page);
  if (MAC) for (const key of document.querySelectorAll("kbd")) key.textContent = key.textContent?.replace("Ctrl", "⌘") ?? "";
  $("keys-on").checked = choice.get("keys", "1") === "1";
  $("speak-on").checked = choice.get("speak", "") === "1";
  $("send-key").value = boot.send_key ?? "enter";
  // Above a phone's keyboard where the browser does not make room by itself.
  visualViewport?.addEventListener("resize", () => {
    const covered = innerHeight - visualViewport.height > 80;
    document.documentElement.style.setProperty("--visible", covered ? `${visualViewport.height}px` : "100dvh");
  });
}

function settings(page) {
  const { composer, failed } = page;
  document.addEventListener("change", (event) => {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.name === "agent") page.chosen();
    if (field.id === "keys-on") choice.set("keys", field.checked ? "1" : "0");
    if (field.id === "speak-on") choice.set("speak", field.checked ? "1" : "0");
    if (field.id === "language") field.form?.requestSubmit();
    if (field.id === "send-key") {
      composer.sendKey = field.value;
      composer.hints();
      request("/preferences/", { json: { send_key: field.value } }).catch(failed);
    }
  });
  document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.id === "leave") sessionStorage.clear();
    if (form.dataset.preference !== "theme") return;
    event.preventDefault();
    const theme = /** @type {HTMLButtonElement} */ (event.submitter).value;
    document.documentElement.dataset.theme = theme;
    document.querySelector("meta[name=color-scheme]")?.setAttribute("content", theme === "system" ? "light dark" : theme);
    for (const button of form.querySelectorAll("[name=theme]")) {
      button.setAttribute("aria-pressed", String(/** @type {HTMLButtonElement} */ (button).value === theme));
    }
    request("/preferences/", { json: { theme } }).catch(failed);
  });
}

function shortcuts(page) {
  const layered = () => document.querySelector("dialog[open], :popover-open");
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || choice.get("keys", "1") === "0") return;
    const mod = event.ctrlKey || event.metaKey;
    const typing = /** @type {HTMLElement} */ (event.target).matches("input, textarea, select, [contenteditable]");
    const key = event.key.toLowerCase();
    const does = (run) => (event.preventDefault(), run());
    if (key === "escape" && !layered() && page.running()) page.stop();
    else if (mod && !event.shiftKey && key === "k") does(search);
    else if (mod && event.shiftKey && key === "o") does(page.begin);
    else if (key === "arrowup" && event.target === $("text") && !$("text").value && !mod) page.editLast() && event.preventDefault();
    else if (!typing && !mod && !event.altKey && !layered() && key === "?") does(() => $("shortcuts").showModal());
  });
}

function search() {
  if (getComputedStyle($("list")).display === "none") $("list").showPopover();
  $("find").focus();
  $("find").select();
}
