/** What happened in a run, for a person to read and for two runs to be compared by. */
import { mix } from "./random.js";

export interface TraceOptions {
  /** Whether anything is recorded. Default: not. */
  readonly on?: boolean;
  /** How many of the last entries are kept to be read; the hash is over all. Default 10,000. */
  readonly limit?: number;
}

export interface TraceEntry {
  /** Virtual milliseconds since the start. */
  readonly at: number;
  readonly server: string;
  readonly what: string;
}

/**
 * A log with bounds. Ask {@link Trace.on} before making the text of an entry, so that a run without a trace
 * pays nothing for it.
 */
export class Trace {
  readonly on: boolean;
  readonly #time: { readonly now: number };
  readonly #limit: number;
  #entries: TraceEntry[] = [];
  #count = 0;
  #low = 0;
  #high = 0;

  constructor(time: { readonly now: number }, options: TraceOptions = {}) {
    this.on = options.on ?? false;
    this.#time = time;
    this.#limit = Math.max(0, options.limit ?? 10_000);
  }

  note(server: string, what: string): void {
    if (!this.on) return;
    const entry = { at: this.#time.now, server, what };
    this.#count++;
    this.#absorb(`${entry.at}\n${server}\n${what}\n`);
    this.#entries.push(entry);
    // Dropping half at a time keeps an entry's cost constant.
    if (this.#entries.length > 2 * this.#limit) this.#entries = this.#kept();
  }

  /** How many entries there were, the forgotten ones too. */
  get count(): number {
    return this.#count;
  }

  /** The last entries, oldest first. */
  entries(): readonly TraceEntry[] {
    return this.#kept();
  }

  /** The last entries as lines. */
  lines(): readonly string[] {
    const kept = this.#kept();
    const width = kept.reduce((most, { server }) => Math.max(most, server.length), 0);
    const lines = kept.map(({ at, server, what }) => `${String(at).padStart(9)} ${server.padEnd(width)} ${what}`);
    const forgotten = this.#count - kept.length;
    return forgotten > 0 ? [`(${forgotten} entries before these)`, ...lines] : lines;
  }

  /** 16 hexadecimal digits over every entry and their order: two runs that differ anywhere differ here. */
  hash(): string {
    const [low, high] = [mix(this.#low + this.#count), mix(this.#high ^ this.#count)];
    return low.toString(16).padStart(8, "0") + high.toString(16).padStart(8, "0");
  }

  #kept(): TraceEntry[] {
    return this.#limit === 0 ? [] : this.#entries.slice(-this.#limit);
  }

  #absorb(text: string): void {
    let [low, high] = [this.#low, this.#high];
    for (let at = 0; at < text.length; at++) {
      low = mix(low ^ text.charCodeAt(at));
      high = (Math.imul(high, 31) + low) | 0;
    }
    this.#low = low;
    this.#high = high;
  }
}
