import type { Cancel } from "../../src/ports/cancel.js";

/** A Cancel that counts who listens. */
export function testCancel(): Cancel & { fire(): void; listeners(): number } {
  const listeners = new Set<() => void>();
  let aborted = false;
  return {
    get aborted(): boolean {
      return aborted;
    },
    onAbort: (listener) => {
      if (aborted) {
        listener();
        return () => undefined;
      }
      const heard = (): void => listener();
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    fire: () => {
      aborted = true;
      for (const listener of [...listeners]) {
        listeners.delete(listener);
        listener();
      }
    },
    listeners: () => listeners.size,
  };
}
