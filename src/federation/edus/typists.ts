/** Who types, as far as their servers said. One whose server says nothing more has stopped after a while. */
import { Canceller } from "../../engine/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { Typing } from "./edu.js";
import type { EduLimits } from "./limits.js";

export class Typists {
  readonly #clock: Clock;
  readonly #limits: EduLimits;
  readonly #onStopped: (typing: Typing) => void;
  readonly #typing = new Map<string, { readonly who: Typing; readonly timer: Canceller }>();

  constructor(clock: Clock, limits: EduLimits, onStopped: (typing: Typing) => void) {
    this.#clock = clock;
    this.#limits = limits;
    this.#onStopped = onStopped;
  }

  /** Whether that is a change. */
  set(typing: Typing): boolean {
    const key = JSON.stringify([typing.roomId, typing.userId]);
    const before = this.#typing.get(key);
    before?.timer.cancel();
    this.#typing.delete(key);
    if (typing.typing) this.#begin(key, typing);
    return (before !== undefined) !== typing.typing;
  }

  #begin(key: string, who: Typing): void {
    const timer = new Canceller();
    this.#typing.set(key, { who, timer });
    void this.#clock.sleep(this.#limits.typingTime, timer).then(() => {
      if (!timer.aborted) this.#end(key);
    });
    const [oldest] = this.#typing.keys();
    if (this.#typing.size > this.#limits.typists && oldest !== undefined) this.#end(oldest);
  }

  #end(key: string): void {
    const ended = this.#typing.get(key);
    if (ended === undefined) return;
    this.#typing.delete(key);
    ended.timer.cancel();
    this.#onStopped(Object.freeze({ ...ended.who, typing: false }));
  }

  /** Forgets everybody, and tells nobody. */
  stop(): void {
    for (const { timer } of this.#typing.values()) timer.cancel();
    this.#typing.clear();
  }
}
