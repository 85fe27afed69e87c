/** Writing to a stream that may be slow, or gone. */
import { once } from "node:events";
import type { Writable } from "node:stream";

/** Waits while the reader is behind, and goes quiet once it has left (`| head`). */
export class Output {
  readonly #stream: Writable;
  #closed = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("error", () => {
      this.#closed = true;
    });
  }

  /** Whether nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  async write(text: string): Promise<void> {
    if (this.#closed) return;
    if (this.#stream.write(text)) return;
    // An error or the end of the stream ends the wait as well; the listener above has taken note.
    const gone = new AbortController();
    const { signal } = gone;
    await Promise.race([once(this.#stream, "drain", { signal }), once(this.#stream, "close", { signal })]).catch(
      () => undefined,
    );
    gone.abort();
  }
}
