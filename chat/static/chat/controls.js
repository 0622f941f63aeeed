// @ts-check
/**
 * What stands apart from any conversation: settings, shortcuts, the dialogs' switches, the keyboard of
 * a phone, and the line to the server with signing in again. What a key does to a conversation, and what
 * follows from being back, is the page's to say.
 */
import { phase, request, signIn } from "stkweb/net";
import { $, MAC, boot, choice, icon, say, t } from "stkweb/ui";

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

// -- The line to the server ----------------------------------------------------------------------------

/**
 * The line as a person meets it: silent while short, told when it lasts, with a way to try at once; and
 * signing in again where one is, with nothing lost.
 */
export class Connection {
  /** True once the server runs a newer version of the page. */
  stale = false;
  #unheard = 0;

  /**
   * @param {import("stkweb/net").Socket} socket
   * @param {{back: () => void, signedIn: () => void, seen: () => void}} page what follows from being back, signed in, looked at
   */
  constructor(socket, page) {
    this.socket = socket;
    this.page = page;
    setInterval(() => this.tell(), 500);
    socket.addEventListener("up", () => ((this.#unheard = 0), this.tell()));
    socket.addEventListener("out", () => this.askToSignIn());
    socket.addEventListener("unheard", () => this.#ask());
    addEventListener("online", () => (socket.connect(), this.tell(), page.back()));
    addEventListener("offline", () => this.tell());
    addEventListener("pagehide", () => socket.close());
    addEventListener("pageshow", (event) => event.persisted && socket.connect());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      socket.connect();
      page.seen();
    });
    $("signin").addEventListener("submit", (event) => (event.preventDefault(), this.#signIn()));
  }

  /** Where nobody is signed in any more the server does not shake hands, and that looks like any other failure. */
  async #ask() {
    if (++this.#unheard % 3 !== 2 || !navigator.onLine) return;
    await request("/session/").catch((error) => error.code === "signed_out" && this.askToSignIn());
  }

  /** One banner: the connection first, then a new version. */
  tell() {
    const now = phase(this.socket.up ? null : performance.now() - (this.socket.downSince ?? 0), navigator.onLine);
    const said = now === "fine" ? (this.stale ? "new_version" : "") : now;
    const banner = $("banner");
    if (banner.dataset.said === said) return;
    banner.dataset.said = said;
    banner.hidden = !said;
    if (!said) return;
    const [symbol, text, button] = banner.children;
    symbol.replaceWith(icon(said === "new_version" ? "new" : said === "offline" ? "offline" : "clock"));
    text.textContent = t(said === "retry" ? "retry_connection" : said);
    button.hidden = said === "offline" || said === "reconnecting";
    button.textContent = t(said === "new_version" ? "reload" : "try_now");
    button.onclick = () => (said === "new_version" ? location.reload() : this.socket.connect());
    say(text.textContent);
  }

  askToSignIn() {
    const dialog = $("signin");
    if (dialog.open) return;
    dialog.showModal();
    $("signin-password").focus();
  }

  async #signIn() {
    const dialog = $("signin");
    const problem = dialog.querySelector(".problem");
    const password = $("signin-password");
    const outcome = await signIn("/accounts/login/", $("signin-user").value, password.value).catch(() => "network");
    problem.hidden = outcome === "in";
    problem.textContent = outcome === "in" ? "" : t(`signin_${outcome}`);
    if (outcome !== "in") return password.select();
    password.value = "";
    dialog.close();
    this.socket.renew();
    this.page.back();
    this.page.signedIn();
  }
}
