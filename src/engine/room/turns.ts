/**
 * Sending one after the other in a room that has a policy server, while receiving goes on: events that wait for it side
 * by side would all end up side by side in the graph.
 */
import { refuse } from "../../errors.js";
import type { Result } from "../../errors.js";

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #taken = 0;
  #silence: { readonly until: number; readonly result: Result<never> } | undefined;

  /** Sends when it is this one's turn. Who waits while the policy server is silent waits once. */
  take<T>(send: () => Promise<Result<T>>): Promise<Result<T>> {
    const place = ++this.#taken;
    const next = this.#last.then(async () => {
      if (this.#silence !== undefined && place <= this.#silence.until) return this.#silence.result;
      const result = await send();
      if (!result.ok && result.error.code === "unreachable") {
        const { code, reason } = result.error;
        this.#silence = { until: this.#taken, result: refuse(code, reason) };
      }
      return result;
    });
    this.#last = next.catch(() => undefined);
    return next;
  }
}
