// @ts-check
/**
 * The page: puts its parts together and decides what each frame, click and key means to them.
 * It keeps no text of its own; the thread knows what was said, the server owns it.
 */
import { Composer } from "stkweb/composer";
import { Connection, controls } from "stkweb/controls";
import { goOver, Refused, request, Socket } from "stkweb/net";
import { agentOf, announceEnd, budgetText, copy, loadMarkdown, titleFrom } from "stkweb/parts";
import { Sidebar } from "stkweb/sidebar";
import { isRunning, textOf, Thread } from "stkweb/thread";
import { Transcript } from "stkweb/transcript";
import { $, alarm, boot, h, icon, say, Scroller, t, toast } from "stkweb/ui";

const page = { id: boot.conversation?.id ?? null, title: boot.conversation?.title ?? "", marked: false, resyncing: false, greeted: false };
/** Where a person was in each conversation, for the way back. @type {Map<string|null, number|undefined>} */
const places = new Map();

const scroller = new Scroller($("scroll"), $("jump"));
let thread = new Thread(page.id ?? "", boot.conversation?.seq ?? null, boot.items ?? []);
const transcript = new Transcript($("items"), scroller, thread);
const socket = new Socket(`${location.origin.replace("http", "ws")}/ws/`);

const sidebar = new Sidebar({ current: () => page.id, open, renamed, gone });
const composer = new Composer({
  conversation: () => page.id,
  agent: chosenAgent,
  local(sent) {
    if (sent) show(true);
    else if (!page.id && !thread.items.size) show(false);
    transcript.local(sent && { text: sent.text, agent: agentOf(sent.agent), attachments: sent.attachments });
    if (sent) scroller.jump();
  },
  unsent: (why) => (transcript.unsent(why), say(why)),
  accepted,
  signIn: () => connection.askToSignIn(),
  online: () => navigator.onLine,
});

const connection = new Connection(socket, {
  back: () => (composer.flush(), composer.files.wake()),
  signedIn: () => composer.focus(),
  seen() {
    page.marked = false;
    titled();
    if (page.id && sidebar.rows.get(page.id)?.unread) sidebar.put({ id: page.id, unread: false });
    if (page.id) subscribe();
  },
});

// -- Which conversation --------------------------------------------------------------------------

function chosenAgent() {
  const field = page.id ? $("agent") : document.querySelector("#empty input[name=agent]:checked, #empty input[name=agent][type=hidden]");
  return field?.value ?? boot.agent?.id ?? "";
}

/** @param {boolean} messages the transcript, or the place to begin */
function show(messages) {
  $("empty").hidden = messages;
  $("items").hidden = !messages;
  $("agent").hidden = !page.id || (boot.agents?.length ?? 0) < 2;
  $("agent").disabled = !page.id;
  const share = $("share");
  if (share) { share.hidden = !page.id; share.href = page.id ? `/c/${page.id}/share/` : ""; }
  $("more-button").hidden = !page.id;
  $("files-link").href = `/c/${page.id}/files/`;
}

function renamed(id, title) {
  if (id !== page.id) return;
  page.title = title;
  $("title").textContent = title;
  titled();
}

function titled() {
  const title = page.id ? page.title : t("new_conversation");
  $("title").textContent = title;
  document.title = `${page.marked ? "● " : ""}${title} · stkweb`;
}

/** Sending and stopping follow whether something is being written here. */
function settle() {
  const running = Boolean(thread.running());
  if (running === $("send").hidden) return;
  composer.running(running);
  // What may be done with an answer depends on whether another is being written.
  transcript.touch(thread.messages().map((item) => item.id));
  if (page.id && sidebar.rows.has(page.id)) sidebar.put({ id: page.id, running });
}

/** Show a conversation, or the place to begin a new one (null), without loading the page anew. */
async function open(id, { push = true } = {}) {
  if ($("list").matches(":popover-open")) $("list").hidePopover();
  if (id === page.id) return composer.focus();
  places.set(page.id, scroller.following ? undefined : $("scroll").scrollTop);
  const url = id ? `/c/${id}/` : "/";
  let data = { conversation: null, items: [], draft: "", earlier: false, agent: null };
  composer.leave();
  if (id) {
    try {
      [data] = await Promise.all([request(url), loadMarkdown()]);
    } catch (error) {
      if (error.code === "signed_out") return connection.askToSignIn();
      if (error.code === "network") return toast(t("no_connection"));
      return location.assign(url);
    }
  }
  if (page.id) socket.send({ type: "unsubscribe", thread_id: page.id });
  if (push) history.pushState(null, "", url);
  enter(id, data);
  scroller.restore(push ? undefined : places.get(id));
  if (id) {
    $("title").focus();
    say(page.title);
  } else composer.focus();
}

function enter(id, data) {
  Object.assign(page, { id, title: data.conversation?.title ?? "", marked: false, resyncing: false });
  thread = new Thread(id ?? "", data.conversation?.seq ?? null, data.items ?? []);
  transcript.use(thread);
  $("earlier").hidden = !data.earlier;
  if (data.agent) $("agent").value = data.agent.id;
  $("notices").replaceChildren();
  $("notices").hidden = true;
  for (const text of data.notices ?? []) notice(text);
  warned(data.warnings);
  show(Boolean(id));
  titled();
  placeholder();
  composer.open(data.draft ?? "");
  settle();
  if (id) {
    sidebar.put({ id, unread: false });
    subscribe();
    if (composer.outbox?.conversation === id) composer.flush();
  } else sidebar.draw();
}

/** A line above the messages that stays: somebody of the administration may read, or could read, this. */
function notice(text) {
  $("notices").append(h("p", { class: "alert info notice" }, icon("alert"), h("span", {}, text)));
  $("notices").hidden = false;
}

/** How far a budget is used: quietly, and where it is seen. @param {string[]} [texts] */
function warned(texts = []) {
  for (const text of texts) notice(text);
  if (texts.length) toast(texts.join(" "), { seconds: 12 });
}

function openedTo({ id, title, reading }) {
  const until = new Date(reading.until).toLocaleString(boot.language, { dateStyle: "short", timeStyle: "short" });
  const text = t("opened_to", { ...reading, until });
  if (id === page.id) notice(text);
  else toast(`${title}: ${text}`);
  say(text);
}

function gone(id) {
  if (id !== page.id) return;
  toast(t("gone"));
  open(null);
}

addEventListener("popstate", () => {
  const id = location.pathname.match(/^\/c\/([^/]+)\//)?.[1] ?? null;
  open(id, { push: false });
});

function placeholder() {
  const { name } = agentOf(chosenAgent());
  $("text").placeholder = name ? t("message_to", { agent: name }) : t("message");
  composer.files.agentChanged();
}

/** The server took a question: what it made of it stands, whichever of reply and event came first. */
function accepted(reply, sent) {
  const { conversation, question, answer } = reply;
  if (sent.conversation !== page.id) return;
  const born = !page.id;
  if (born) {
    // The feed may have told the title before the reply came.
    Object.assign(page, { id: conversation, title: sidebar.rows.get(conversation)?.title || titleFrom(sent.text) });
    thread = new Thread(conversation);
    transcript.rebase(thread);
    $("agent").value = sent.agent;
    history.pushState(null, "", `/c/${conversation}/`);
    sidebar.put({ id: conversation, title: page.title, updated_at: new Date().toISOString(), running: true });
    show(true);
    titled();
  }
  expect({ id: question, type: "user_message", content: [{ type: "input_text", text: sent.text }], attachments: sent.attachments, stkweb: sent.parent === undefined ? {} : { parent: sent.parent === "root" ? null : sent.parent } });
  transcript.settle("local", question);
  expect({ id: answer, type: "assistant_message", content: [], stkweb: { parent: question, state: "queued", agent: agentOf(sent.agent) } });
  transcript.settle("local.a", answer);
  say(t("answering"));
  if (born) subscribe();
  settle();
}

/** What the server said it will tell, until it has told it. */
function expect(item) {
  if (thread.items.has(item.id)) return;
  const { seq } = thread;
  thread.seq ??= 0;
  thread.apply({ type: "event", seq: thread.seq + 1, event: { type: "thread.item.added", item: { created_at: new Date().toISOString(), ...item } } });
  thread.seq = seq;
  transcript.touch([item.id], true);
}

// -- The socket --------------------------------------------------------------------------------------

function subscribe(after = thread.seq) {
  page.resyncing = true;
  socket.send({ type: "subscribe", thread_id: page.id, after });
}

socket.addEventListener("frame", (event) => {
  const frame = /** @type {CustomEvent} */ (event).detail;
  if (frame.type === "hello") return hello(frame);
  if (frame.type === "feed") return fed(frame.event);
  if (frame.thread_id !== page.id) return undefined;
  if (frame.type === "error") return frame.code === "not_found" ? gone(page.id) : undefined;
  if (frame.type === "snapshot") page.resyncing = false;
  const before = thread.running()?.id;
  const outcome = thread.apply(frame);
  if (outcome.gap) return page.resyncing ? undefined : subscribe();
  for (const told of outcome.events) heard(told);
  transcript.touch(outcome.changed, outcome.ordered);
  const ended = before && thread.items.get(before);
  if (ended && !isRunning(ended)) finished(ended);
  return settle();
});

function hello(frame) {
  if (frame.user !== boot.user) {
    // Somebody else signed in: nothing of the former person stays.
    sessionStorage.clear();
    return location.assign("/");
  }
  if (frame.version !== boot.version) connection.stale = true;
  if (page.id) subscribe();
  connection.tell();
  if (page.greeted) relist();
  page.greeted = true;
  return composer.flush();
}

/** News of the list has no numbers: after a break it is read anew. */
async function relist() {
  const { conversations } = await request("/").catch(() => ({ conversations: null }));
  if (conversations) sidebar.replace(conversations);
}

function fed(event) {
  if (event.type === "budget.reached") {
    warned([budgetText(event.budget)]);
    // Who was not here to see it reads it on the next page.
    if (!document.hidden) request("/usage/told/", { json: {} }).catch(() => {});
    return;
  }
  if (event.type === "conversation.settled") return settled(event.conversation);
  sidebar.apply(event);
  if (event.type === "conversation.opened_to") openedTo(event.conversation);
  if (event.type === "conversation.finished" && document.hidden) mark();
}

/** A stopped answer was read to its end: its exact tokens in place of what was estimated. */
function settled({ id, answer, usage, estimated }) {
  sidebar.count();
  if (id === page.id && thread.counted(answer, usage, estimated)) transcript.touch([answer]);
}

function heard(event) {
  const { item } = event;
  if (event.type === "thread.item.done" && item.type === "user_message" && composer.outbox?.text === textOf(item)) transcript.settle("local", item.id);
  if (event.type === "thread.item.added" && item.type === "assistant_message") {
    transcript.settle("local.a", item.id);
    loadMarkdown();
  }
}

function finished(item) {
  announceEnd(item);
  if (document.hidden) return mark();
  // Asking again from here says that it was read.
  return subscribe();
}

function mark() {
  page.marked = true;
  titled();
}

// -- The start -------------------------------------------------------------------------------------------

const { stop, editLast } = verbs({
  page, composer, sidebar, scroller, transcript, open, subscribe, expect, settle,
  thread: () => thread,
  signIn: () => connection.askToSignIn(),
});
controls({ composer, running: () => Boolean(thread.running()), stop, begin: () => open(null), editLast, chosen: placeholder, failed });
if (matchMedia("(hover: hover) and (pointer: fine)").matches && !location.hash) composer.focus();
if (page.id) scroller.jump();
// The server drew it above the messages, which may be out of sight.
if (page.id && boot.warnings?.length) toast(boot.warnings.join(" "), { seconds: 12 });
socket.connect();

/**
 * What a person does with messages and conversations: each `data-do` of the page by its name, stopping,
 * and older messages. What follows on the page is told by the functions it is given.
 */

/**
 * Tells a refusal, in words and aloud; whatever else was thrown goes on.
 * @param {any} error @param {() => void} [again] what goes out once a soft budget may be gone over
 */
export function failed(error, again) {
  if (!(error instanceof Refused)) throw error;
  const text = error.code === "network" ? t("no_connection") : [error.message, error.next].filter(Boolean).join(" ");
  alarm(text);
  if (!error.budget || !again) return toast(text);
  const run = () => goOver(error.budget).then(again, (wrong) => failed(wrong));
  return toast(text, { action: t("go_over"), run, seconds: 20 });
}

/**
 * @param {{page: {id: string|null}, thread: () => import("stkweb/thread").Thread, composer: import("stkweb/composer").Composer,
 *   sidebar: import("stkweb/sidebar").Sidebar, scroller: import("stkweb/ui").Scroller, transcript: import("stkweb/transcript").Transcript,
 *   open: (id: string|null) => void, subscribe: (after?: number|null) => void, expect: (item: any) => void, settle: () => void,
 *   signIn: () => void}} here
 * @returns {{stop: () => void, editLast: () => boolean}}
 */
export function verbs(here) {
  const { page, composer, sidebar, scroller, transcript } = here;
  const itemOf = (id) => here.thread().items.get(id);

  const known = {
    copy: (id, target) => (copy(textOf(itemOf(id) ?? { id, type: "", created_at: "" })), ticked(target)),
    edit: (id) => edit(id),
    "edit-question": (id) => edit(itemOf(id)?.stkweb?.parent ?? ""),
    retry: (id) => turn("retry", id),
    continue: (id) => turn("continue", id),
    show: async (_id, target) => (await turn("show", target.value)) && here.subscribe(null),
    unfold: (_id, target) => (target.closest("article").classList.remove("long"), target.remove()),
    "send-now": () => composer.flush(),
    "take-back": () => composer.takeBack(),
    example: (_id, target) => (composer.set(target.textContent.trim()), composer.field.dispatchEvent(new Event("input")), composer.focus()),
    rename: () => ($("more").hidePopover(), page.id && sidebar.rename(page.id, $("more-button"))),
    delete: () => ($("more").hidePopover(), page.id && sidebar.remove(page.id)),
    files: async () => {
      $("more").hidePopover();
      const tray = await import("stkweb/tray").catch(() => toast(t("no_connection")));
      tray?.open(page.id, { failed, signIn: here.signIn });
    },
    shortcuts: () => ($("settings").hidePopover(), $("shortcuts").showModal()),
  };

  function edit(id) {
    const item = itemOf(id);
    // A first question has no parent: it is written anew as another root.
    if (item) composer.edit(textOf(item), item.stkweb?.parent ?? "root", item.attachments);
  }

  function editLast() {
    const last = here.thread().messages().filter((item) => item.type === "user_message").at(-1);
    if (!last || here.thread().running()) return false;
    edit(last.id);
    return true;
  }

  let turning = false;
  async function turn(verb, answer) {
    // A double click asks once, and is not told that it was refused the second time.
    if (turning) return false;
    turning = true;
    try {
      const reply = await request(`/c/${page.id}/${verb}/`, { json: { answer } });
      if (verb === "retry") {
        const { parent, agent } = itemOf(answer)?.stkweb ?? {};
        here.expect({ id: reply.answer, type: "assistant_message", content: [], stkweb: { parent, state: "queued", agent } });
        scroller.jump();
      }
      here.settle();
      return true;
    } catch (error) {
      if (error.code === "signed_out") here.signIn();
      else failed(error, () => turn(verb, answer));
      return false;
    } finally {
      turning = false;
    }
  }

  async function stop() {
    if (!page.id || !here.thread().running()) return;
    composer.stopping();
    try {
      await request(`/c/${page.id}/stop/`, { json: {} });
    } catch (error) {
      composer.running(true);
      failed(error);
    }
  }

  /** The output of a tool, by hand. @param {HTMLFormElement} form */
  async function give(form) {
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    const { call, output } = Object.fromEntries(new FormData(form));
    button.disabled = true;
    try {
      const reply = await request(form.getAttribute("action") ?? "", { json: { call, output } });
      if (reply.answer) scroller.jump();
      say(t(reply.answer ? "answering" : "call_completed"));
      composer.focus();
    } catch (error) {
      button.disabled = false;
      if (error.code === "signed_out") here.signIn();
      else failed(error, () => give(form));
    }
  }

  async function showEarlier() {
    const first = here.thread().messages()[0]?.id;
    try {
      const older = await request(`/c/${page.id}/items/?before=${first}`);
      await loadMarkdown();
      here.thread().prepend(older.items);
      scroller.keep(() => (transcript.touch([], true), transcript.paint()));
      $("earlier").hidden = !(older.earlier ?? older.has_more);
      $(`m-${first}`)?.querySelector("button")?.focus({ preventScroll: true });
    } catch (error) {
      failed(error);
    }
  }

  document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!form.matches(".call form")) return;
    event.preventDefault();
    give(form);
  });
  document.addEventListener("click", (event) => {
    const clicked = /** @type {HTMLElement} */ (event.target);
    const target = /** @type {HTMLElement|null} */ (clicked.closest("[data-do]"));
    const run = known[target?.dataset.do ?? ""];
    if (target && run) {
      event.preventDefault();
      if (target.getAttribute("aria-disabled") !== "true") run(target.closest("article")?.dataset.id ?? "", target);
    }
    if (clicked.closest("#new, .brand a") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      here.open(null);
    }
  });
  $("stop").addEventListener("click", (event) => (event.preventDefault(), stop()));
  $("earlier").addEventListener("click", (event) => (event.preventDefault(), showEarlier()));
  return { stop, editLast };
}

function ticked(button) {
  const symbol = button.querySelector(".icon");
  const tick = icon("check");
  symbol.replaceWith(tick);
  setTimeout(() => tick.replaceWith(symbol), 1500);
}
