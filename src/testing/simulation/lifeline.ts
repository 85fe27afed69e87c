/**
 * The life of one process. All ports of the process are guarded by one lifeline: when it ends, none of their
 * calls resolves any more, which is what a crash is to the code that was waiting.
 */
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { Keys } from "../../ports/keys.js";
import type { Observer } from "../../ports/observer.js";
import type { OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Storage } from "../../ports/storage.js";
import type { Transport } from "../../ports/transport.js";
import { aroundStorage } from "./around-storage.js";

/** A promise that nothing settles. */
export function never<T = never>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

export class Lifeline {
  #alive = true;
  readonly #listeners = new Set<() => void>();

  get alive(): boolean {
    return this.#alive;
  }

  /** Ends the process. Ending it twice does nothing. */
  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /** Calls `listener` once when the process ends, at once if it has. Returns what takes the listener back. */
  onEnd(listener: () => void): () => void {
    if (!this.#alive) {
      listener();
      return () => undefined;
    }
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * What `call` answers, if the process lives before and after it; else it never answers, and when the process
   * had ended before, the call is not made. Use it for whatever a test awaits of a process, too.
   */
  pass<T>(call: () => Awaitable<T>): Awaitable<T> {
    if (!this.#alive) return never<T>();
    const answer = call();
    if (answer instanceof Promise) return this.#hold(answer);
    // The call itself may have ended it.
    return this.alive ? answer : never<T>();
  }

  /** {@link pass} for what is a promise anyway. */
  passPromise<T>(call: () => Promise<T>): Promise<T> {
    return this.#alive ? this.#hold(call()) : never<T>();
  }

  guardStorage(storage: Storage): Storage {
    return aroundStorage(storage, (_method, perform) => this.pass(perform));
  }

  /** A transport that stops listening when the process ends. What it has sent by then is on its way. */
  guardTransport(transport: Transport): Transport {
    return Object.freeze<Transport>({
      request: <N extends OperationName>(
        ...call: Parameters<typeof transport.request<N>>
      ): Promise<OperationResult<N>> => this.passPromise(() => transport.request(...call)),
      listen: (receiver) => {
        if (!this.#alive) return () => undefined;
        const stop = transport.listen(
          <N extends OperationName>(origin: string, name: N, request: OperationRequest<N>, cancel?: Cancel) =>
            this.passPromise(() => receiver(origin, name, request, cancel)),
        );
        const forget = this.onEnd(stop);
        return () => {
          forget();
          stop();
        };
      },
    });
  }

  /** A clock whose sleepers never wake once the process has ended. `now()` cannot wait, so it answers. */
  guardClock(clock: Clock): Clock {
    return Object.freeze<Clock>({
      now: () => clock.now(),
      sleep: (ms, cancel) => this.passPromise(() => clock.sleep(ms, cancel)),
    });
  }

  guardKeys(keys: Keys): Keys {
    const signPolicy = keys.signPolicy?.bind(keys);
    return Object.freeze<Keys>({
      ...(signPolicy === undefined
        ? {}
        : { signPolicy: (message, cancel) => this.pass(() => signPolicy(message, cancel)) }),
      sign: (message, cancel) => this.pass(() => keys.sign(message, cancel)),
      lookup: (requests, cancel) => this.pass(() => keys.lookup(requests, cancel)),
      verify: (requests, cancel) => this.pass(() => keys.verify(requests, cancel)),
    });
  }

  /** An observer that hears nothing of what a dead process does up to its next call of a port. */
  guardObserver(observer: Observer): Observer {
    const tell = (speak: () => void): void => {
      if (this.#alive) speak();
    };
    return Object.freeze<Observer>({
      onReceipt: (receipt, context) => tell(() => observer.onReceipt?.(receipt, context)),
      onStateChange: (change) => tell(() => observer.onStateChange?.(change)),
      onMetric: (metric) => tell(() => observer.onMetric?.(metric)),
      onFault: (fault) => tell(() => observer.onFault?.(fault)),
    });
  }

  #hold<T>(answer: Promise<T>): Promise<T> {
    return answer.then(
      (value) => (this.#alive ? value : never<T>()),
      () => (this.#alive ? answer : never<T>()),
    );
  }
}
