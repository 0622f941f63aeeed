// @ts-check
/**
 * The files of a conversation in one place: what each is, which agent has it and until when, and what may
 * be done: download, go to its message, give it to the agent again, remove it.
 */
import { request } from "stkweb/net";
import { $, alarm, h, icon, sizeOf, t, time } from "stkweb/ui";

/** Milliseconds between two looks while something is under way. */
const LOOK_EVERY = 1000;
const CHANGING = new Set(["checking", "uploading"]);

/** @param {string} conversation @param {{failed: (error: any) => void, signIn: () => void}} page */
export async function open(conversation, page) {
  const dialog = $("tray");
  const list = $("tray-list");
  const told = $("tray-told");

  async function draw() {
    try {
      const { files } = await request(`/c/${conversation}/files/`);
      const there = files.filter((file) => file.state !== "gone");
      told.textContent = there.length ? "" : t("tray_empty");
      list.replaceChildren(...there.map(row));
      const busy = there.some((file) => CHANGING.has(file.state) || file.handed.some((one) => one.state === "renewing"));
      if (busy && dialog.open) setTimeout(draw, LOOK_EVERY);
    } catch (error) {
      dialog.close();
      if (error.code === "signed_out") page.signIn();
      else page.failed(error);
    }
  }

  async function act(url, focus) {
    try {
      await request(url, { json: {} });
      await draw();
      (list.querySelector(focus) ?? dialog.querySelector("[data-close]")).focus();
    } catch (error) {
      told.textContent = [error.message, error.next].filter(Boolean).join(" ");
      alarm(told.textContent);
    }
  }

  function row(file) {
    const { id, name, size, state, message, messages, preview_url: preview, download_url: download, handed } = file;
    const quiet = (label, symbol, run) => h("button", { class: "quiet", type: "button", "aria-label": `${label}: ${name}`, onclick: run }, icon(symbol), label);
    const last = messages.at(-1);
    const lines = handed.map((one) => lifeOf(one));
    if (!messages.length) lines.push(t("tray_unsent"));
    return h("li", { class: "file", "data-state": state, "data-file": id },
      h("span", { class: "face" }, preview ? h("img", { src: preview, alt: "" }) : icon("file")),
      h("span", { class: "about" }, h("span", { class: "name", title: name, dir: "auto" }, name),
        h("span", { class: "how num" }, h("span", {}, state === "ready" ? sizeOf(size) : `${sizeOf(size)} · ${message ?? t(`upload_${state}`)}`), ...lines.map((line) => h("span", {}, line)))),
      h("span", { class: "ways" },
        download && h("a", { class: "quiet", href: download, download: true, "aria-label": `${t("download")}: ${name}` }, icon("download"), t("download")),
        last && $(`m-${last}`) && quiet(t("to_message"), "up", () => (dialog.close(), $(`m-${last}`).scrollIntoView({ block: "center" }))),
        handed.some((one) => one.state === "expired" || one.state === "failed") && quiet(t("renew"), "retry", () => act(`/files/${id}/renew/`, `[data-file="${id}"] button`)),
        quiet(t("delete"), "delete", (event) => sure(event.currentTarget, () => act(`/files/${id}/remove/`, "button")))));
  }

  list.replaceChildren();
  told.textContent = "";
  dialog.showModal();
  await draw();
}

/** What cannot be undone is asked for twice. */
function sure(button, run) {
  if (button.dataset.asked) return run();
  button.dataset.asked = "yes";
  button.lastChild.textContent = t("delete_sure");
  button.ariaLabel = t("delete_sure");
  return alarm(t("delete_sure"));
}

/** How long an agent has a file. */
function lifeOf({ agent, state, expires_at: until }) {
  const values = { agent: agent.name, time: until ? time(until) : "" };
  return t(state === "handed" ? (until ? "tray_until" : "tray_handed") : `tray_${state}`, values);
}
