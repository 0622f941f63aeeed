// @ts-check
/**
 * The line to the server as a person meets it: silent while short, told when it lasts, with a way
 * to try at once; and signing in again where one is, with nothing lost.
 */
import { phase, request, signIn } from "stkweb/net";
import { $, icon, say, t } from "stkweb/ui";

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
    this.socket.connect();
    this.page.back();
    this.page.signedIn();
  }
}
