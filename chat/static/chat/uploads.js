// @ts-check
/**
 * One file on its way to the server (docs/files.md): announced, sent in slices, taken up again after a
 * cut at the place the server names, waited for until it has been looked at. No DOM: who shows it
 * is told of each change.
 *
 * @typedef {"waiting"|"uploading"|"paused"|"checking"|"ready"|"absent"|"failed"|"refused"} State
 *   `paused` goes on by itself, `absent` needs its bytes from the person again, `failed` may be tried
 *   again, `refused` may not.
 */
import { Refused, backoff, newKey, put, request } from "stkweb/net";

/** Milliseconds between two looks at a file that the server checks. */
const LOOK_EVERY = 500;
/** How often a slice that arrived damaged is sent again. */
const DAMAGED = 3;
/** The status of a server whose disk is full: asking again by oneself would not make room. */
const NO_ROOM = 507;

export class Upload {
  /** @type {State} */
  state = "waiting";
  name = "";
  size = 0;
  type = "";
  /** @type {string|null} */
  id = null;
  /** @type {Blob|null} */
  bytes = null;
  /** Bytes that are there, or nearly. */
  sent = 0;
  /** What the server said last. @type {any} */
  facts = {};
  /** Why it does not go on: a code, and the server's own sentences if it gave any. */
  why = { code: "", text: "" };
  /** Called after each change; whoever shows it sets it. */
  changed = () => {};
  #key = newKey();
  #attempt = 0;
  #damaged = 0;
  #timer = 0;
  #work = new AbortController();

  /**
   * @param {{name: string, size: number, type?: string, id?: string, facts?: any}} about
   * @param {Blob|null} bytes null for one that was begun before the page was loaded
   * @param {{agent: string, conversation: string|null}} meant
   */
  constructor({ name, size, type = "", id, facts }, bytes, meant) {
    Object.assign(this, { name, size, type, id: id ?? null, bytes });
    this.meant = meant;
    if (facts) this.#take(facts);
  }

  get pending() {
    return ["waiting", "uploading", "paused", "checking"].includes(this.state);
  }

  /** Begin, or go on where it was cut. */
  async start() {
    this.#halt();
    const { signal } = (this.#work = new AbortController());
    try {
      if (!this.id) this.#become("uploading");
      const announced = { name: this.name, size: this.size, type: this.type, ...this.meant };
      this.#take(this.id ? await this.#look() : await request("/files/", { json: announced, key: this.#key }));
      while (!signal.aborted && this.facts.state === "uploading" && this.bytes) await this.#slice(signal);
      while (!signal.aborted && this.facts.state === "checking") {
        this.#take(await this.#look());
        if (this.facts.state === "checking") await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
      }
    } catch (error) {
      if (!signal.aborted) this.#stopped(error);
    }
  }

  /** The bytes again, after the page was loaded anew. @param {Blob} bytes */
  resume(bytes) {
    this.bytes = bytes;
    return this.start();
  }

  /** Try again after a failure, from the beginning where the server knows nothing of it. */
  retry() {
    this.#attempt = this.#damaged = 0;
    return this.start();
  }

  /** Not wanted any more, here and there. */
  drop() {
    this.#halt();
    if (this.id) request(`/files/${this.id}/remove/`, { json: {} }).catch(() => {}); // else it is swept within a day
  }

  #halt() {
    clearTimeout(this.#timer);
    this.#work.abort();
  }

  #look() {
    return request(`/files/${this.id}/`);
  }

  #take(facts) {
    this.facts = { ...this.facts, ...facts };
    this.id = this.facts.id;
    this.sent = this.facts.offset ?? this.size;
    const { state, code, message, next } = this.facts;
    if (state === "uploading") this.#become(this.bytes ? "uploading" : "absent");
    else if (state === "checking" || state === "ready") this.#become(state);
    else this.#become("refused", code ?? state, [message, next].filter(Boolean).join(" "));
  }

  async #slice(signal) {
    const { offset, slice } = this.facts;
    const bytes = await /** @type {Blob} */ (this.bytes).slice(offset, offset + slice).arrayBuffer();
    const headers = { "Upload-Offset": String(offset), "Content-Type": "application/octet-stream", ...(await digest(bytes)) };
    try {
      const progress = (sent) => ((this.sent = offset + sent), (this.#attempt = 0), this.changed());
      const answer = await put(`/files/${this.id}/`, bytes, { headers, progress, signal });
      this.#damaged = 0;
      // Its fields are few; the rest is asked for when the file is whole.
      this.#take(answer.state === "uploading" ? answer : { ...answer, state: "checking" });
    } catch (error) {
      if (error.code === "wrong_offset" && error.offset !== undefined && error.offset !== offset) this.#take({ offset: error.offset });
      else if (error.code !== "slice_damaged" || ++this.#damaged > DAMAGED) throw error;
    }
  }

  #stopped(error) {
    if (!(error instanceof Refused)) return this.#become("failed", error instanceof DOMException ? "unreadable" : "internal");
    if (error.code === "signed_out") return this.#become("paused", "signed_out");
    const text = [error.message, error.next].filter(Boolean).join(" ");
    if (error.status === NO_ROOM) return this.#become("failed", error.code, text);
    if (error.passing || error.status === 429 || error.code === "in_progress") {
      const wait = error.retryAfter * 1000 || backoff(this.#attempt++) + LOOK_EVERY;
      this.#timer = setTimeout(() => this.start(), wait);
      return this.#become("paused", error.code);
    }
    if (error.code !== "not_found" && error.code !== "slice_damaged") return this.#become("refused", error.code, text);
    // The server has forgotten it, or cannot take it so: once more from the start is worth a try.
    Object.assign(this, { id: null, facts: {}, sent: 0 });
    this.#key = newKey();
    return this.#become(this.bytes ? "failed" : "refused", error.code === "not_found" ? "gone" : error.code);
  }

  #become(state, code = "", text = "") {
    this.state = state;
    this.why = { code, text };
    this.changed();
  }
}

/** The header with the SHA-256 of some bytes; none where the browser has no means (plain http to another host). */
async function digest(bytes) {
  if (!crypto.subtle) return {};
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { "Content-Digest": `sha-256=:${btoa(String.fromCharCode(...sum))}:` };
}
