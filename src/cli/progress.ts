/** A progress bar, on terminals and for long input only. */
import type { WriteStream } from "node:tty";

const WIDTH = 30;
/** Fewer events are checked before anybody looks. */
const LONG = 1000;

export class Progress {
  readonly #stream: WriteStream;
  readonly #shown: boolean;
  #percent = -1;

  constructor(stream: WriteStream, events: number) {
    this.#stream = stream;
    this.#shown = stream.isTTY && events >= LONG;
  }

  show(done: number, total: number): void {
    if (!this.#shown) return;
    const percent = Math.floor((100 * done) / total);
    if (percent === this.#percent) return;
    this.#percent = percent;
    const filled = Math.round((WIDTH * percent) / 100);
    this.#stream.write(`\r[${"#".repeat(filled)}${".".repeat(WIDTH - filled)}] ${percent}%`);
  }

  /** Takes the bar away again. */
  clear(): void {
    if (this.#percent >= 0) this.#stream.write(`\r${" ".repeat(WIDTH + 8)}\r`);
  }
}
