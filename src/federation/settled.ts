/** How the calls of users end. */
import { CancelledError, refuse } from "../errors.js";
import type { Result } from "../errors.js";

/** A call that was cancelled before it changed anything is a refusal like any other. */
export async function settled<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CancelledError) return refuse("cancelled", error.message);
    throw error;
  }
}
