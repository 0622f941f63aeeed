// @ts-check
/**
 * What a conversation is, as far as the page knows: items in order and the number of the last event.
 *
 * Pure: no DOM, no network, no clock. The rule that makes it safe to join at any time: an event
 * numbered `seq + 1` is applied, one that is not newer is dropped, and a gap asks for a new snapshot.
 *
 * @typedef {{code: string, params?: Record<string, unknown>, retryable?: boolean, id?: string}} Fault
 * @typedef {{user?: number|null, enrichment?: number|null, output?: number|null, total?: number|null}} Usage
 * @typedef {{parent?: string|null, author?: string, state?: string, error?: Fault|null, agent?: {id: string, name: string},
 *   stop_reason?: string|null, duration_ms?: number|null, usage?: Usage|null, sources?: {id: string, title: string, url?: string|null}[],
 *   continues?: string|null, siblings?: string[], reasoning_ms?: number|null, trimmed?: number, continued?: number, on_length?: string,
 *   place?: {before: number, seconds: number}|null, waited?: number|null, ended_at?: string|null, answer?: string, over?: boolean}} Extra
 * @typedef {{id: string, type: string, created_at: string, content?: {type: string, text: string}[], attachments?: import("stkweb/files").Attachment[],
 *   workflow?: {tasks: {type: string, title?: string, content?: string}[]}, stkweb?: Extra,
 *   name?: string, arguments?: any, status?: string, output?: any}} Item
 * @typedef {{changed: Set<string>, ordered: boolean, gap: boolean, events: any[]}} Outcome
 */

export const RUNNING = new Set(["queued", "streaming"]);

/** @param {Item} item the text of a question or an answer */
export const textOf = (item) => (item.content ?? []).map((part) => part.text ?? "").join("");

/** @param {Item|undefined} item */
export const isRunning = (item) => item?.type === "assistant_message" && RUNNING.has(item.stkweb?.state ?? "");

/** @param {string} id the answer that an item of its thoughts or of a tool it called belongs to */
const answerOf = (id) => id.replace(/\.(r|c\d+)$/, "");
const MESSAGES = new Set(["user_message", "assistant_message"]);

export class Thread {
  /** @param {string} id @param {number|null} seq @param {Item[]} items */
  constructor(id, seq = null, items = []) {
    this.id = id;
    this.seq = seq;
    /** @type {Map<string, Item>} */
    this.items = new Map(items.map((item) => [item.id, structuredClone(item)]));
  }

  /** Questions and answers in order; what belongs to an answer has doors of its own. @returns {Item[]} */
  messages() {
    return [...this.items.values()].filter((item) => MESSAGES.has(item.type));
  }

  /** The tools that an answer called. @param {string} answer @returns {Item[]} */
  calls(answer) {
    return [...this.items.values()].filter((item) => item.type === "client_tool_call" && answerOf(item.id) === answer);
  }

  /** @param {string} answer @returns {string} */
  thoughts(answer) {
    const tasks = this.items.get(`${answer}.r`)?.workflow?.tasks ?? [];
    return tasks.map((task) => task.content ?? "").filter(Boolean).join("\n\n");
  }

  /** The answer that is being written, if one is. @returns {Item|undefined} */
  running() {
    return [...this.items.values()].reverse().find(isRunning);
  }

  /** @param {any} frame a `snapshot` or `event` frame of this thread @returns {Outcome} */
  apply(frame) {
    const outcome = { changed: new Set(), ordered: false, gap: false, events: [] };
    if (frame.type === "snapshot") this.#snapshot(frame, outcome);
    else if (this.seq === null || frame.seq > this.seq + 1) outcome.gap = true;
    else if (frame.seq === this.seq + 1) {
      this.seq = frame.seq;
      this.#event(frame.event, outcome);
    }
    return outcome;
  }

  /** What an answer used, as it turned out after its end. @param {string} id @param {Usage|null} usage
   * @param {number|null} estimated @returns {boolean} whether it is here */
  counted(id, usage, estimated) {
    const item = this.items.get(id);
    if (item) this.items.set(id, { ...item, stkweb: { ...item.stkweb, usage, estimated } });
    return Boolean(item);
  }

  /** Messages older than what is shown. @param {Item[]} older oldest first */
  prepend(older) {
    this.items = new Map([...older.map((item) => /** @type {[string, Item]} */ ([item.id, item])), ...this.items]);
  }

  #snapshot(frame, outcome) {
    // One that was overtaken by events on its way says nothing new.
    if (this.seq !== null && frame.seq < this.seq && !frame.complete) return;
    this.seq = frame.seq;
    if (frame.complete) {
      const fresh = new Map(frame.items.map((item) => [item.id, item]));
      const known = [...this.items.keys()];
      const joint = known.indexOf(frame.items[0]?.id);
      const earlier = joint > 0 ? known.slice(0, joint) : [];
      this.items = new Map([...earlier.map((id) => [id, this.items.get(id)]), ...fresh]);
      for (const id of fresh.keys()) outcome.changed.add(answerOf(id));
      outcome.ordered = true;
    } else for (const item of frame.items) this.#put(item, outcome);
  }

  #event(event, outcome) {
    outcome.events.push(event);
    switch (event.type) {
      case "thread.item.added":
      case "thread.item.done":
      case "thread.item.replaced":
        this.#put(event.item, outcome);
        break;
      case "thread.item.updated":
        this.#update(event.item_id, event.update, outcome);
        break;
      case "progress_update":
        this.#waits(event.stkweb ?? {}, outcome);
        break;
      case "thread.item.removed":
        if (this.items.delete(event.item_id)) outcome.ordered = true;
        outcome.changed.add(answerOf(event.item_id));
        break;
    }
  }

  /** Where, or for how long, an answer waits before it begins. */
  #waits({ item_id: id, place = null, waited = null }, outcome) {
    const item = this.items.get(id);
    if (!item) return;
    this.items.set(id, { ...item, stkweb: { ...item.stkweb, place, waited } });
    outcome.changed.add(id);
  }

  /** A new message takes the place of whatever followed its parent: the branch that is shown has no forks. */
  #put(item, outcome) {
    outcome.changed.add(answerOf(item.id));
    if (this.items.has(item.id)) {
      this.items.set(item.id, item);
      return;
    }
    outcome.ordered = true;
    if (item.type === "workflow") {
      this.#insertBefore(answerOf(item.id), item);
      return;
    }
    if (item.type === "client_tool_call") return void this.items.set(item.id, item);
    const parent = item.stkweb?.parent;
    const ids = [...this.items.keys()];
    const at = parent === null && item.type === "user_message" ? -1 : ids.indexOf(parent ?? "");
    if (at >= 0 || parent === null) {
      for (const id of ids.slice(at + 1)) if (answerOf(id) !== item.id && answerOf(id) !== parent) this.items.delete(id);
    }
    this.items.set(item.id, item);
  }

  #insertBefore(id, item) {
    const all = [...this.items];
    const at = all.findIndex(([key]) => key === id);
    all.splice(at < 0 ? all.length : at, 0, [item.id, item]);
    this.items = new Map(all);
  }

  #update(id, update, outcome) {
    outcome.changed.add(answerOf(id));
    if (update.type === "assistant_message.content_part.text_delta") {
      const item = this.items.get(id);
      if (!item) return;
      const content = [...(item.content ?? [])];
      const index = update.content_index ?? 0;
      while (content.length <= index) content.push({ type: "output_text", text: "" });
      content[index] = { ...content[index], text: content[index].text + update.delta };
      const state = item.stkweb?.state === "queued" ? "streaming" : item.stkweb?.state;
      this.items.set(id, { ...item, content, stkweb: { ...item.stkweb, state } });
    } else if (update.type === "workflow.task.updated" || update.type === "workflow.task.added") {
      const item = this.items.get(id) ?? { id, type: "workflow", created_at: "", workflow: { tasks: [] } };
      const tasks = [...(item.workflow?.tasks ?? [])];
      tasks[update.task_index ?? 0] = update.task;
      const next = { ...item, workflow: { ...item.workflow, tasks } };
      if (this.items.has(id)) this.items.set(id, next);
      else this.#put(next, outcome);
    }
  }
}

// -- The rule of the view that follows ---------------------------------------------------------

/** Pixels from the end that still count as the end: browsers report fractions. */
const AT_END = 4;

/**
 * Whether the view follows the text. Only a person's gesture lets go, only reaching the end or
 * asking for it takes hold again; growth and shifts of the layout change nothing.
 *
 * @typedef {{following: boolean, news: boolean}} Follow
 * @param {Follow} state
 * @param {{type: "up"|"moved"|"grew"|"jump", distance?: number, scrollable?: boolean, down?: boolean}} event
 * @returns {Follow}
 */
export function follow(state, event) {
  switch (event.type) {
    case "up":
      return event.scrollable ? { ...state, following: false } : state;
    case "moved":
      return !state.following && event.down && (event.distance ?? 0) <= AT_END ? { following: true, news: false } : state;
    case "grew":
      return state.following ? state : { ...state, news: true };
    case "jump":
      return { following: true, news: false };
    default:
      return state;
  }
}
