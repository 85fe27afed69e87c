/** Stopping when asked to. */
import type { Cancel } from "../../ports/cancel.js";

/** A call that was asked to stop has no answer: `false` would be a verdict on signatures that nobody looked at. */
export function cancelled(): Error {
  const error = new Error("verifying was cancelled");
  error.name = "CancelledError";
  return error;
}

export function throwIfCancelled(cancel: Cancel | undefined): void {
  if (cancel?.aborted === true) throw cancelled();
}
