/** Stopping when asked to. */
import { CancelledError } from "../../errors.js";
import type { Cancel } from "../../ports/cancel.js";

/** A call that was asked to stop has no answer: `false` would be a verdict on signatures that nobody looked at. */
export function cancelled(): Error {
  return new CancelledError("verifying was cancelled");
}

export function throwIfCancelled(cancel: Cancel | undefined): void {
  if (cancel?.aborted === true) throw cancelled();
}
