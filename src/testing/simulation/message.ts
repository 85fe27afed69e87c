/** Copying what servers say to each other, so that nothing of one can be changed by another. */
import { UsageError } from "../../errors.js";
import { JsonFloat, isPlainObject, setOwn } from "../../json/value.js";
import type { JsonValue } from "../../json/value.js";

/**
 * A copy that shares no object with `message`, and about how many bytes it would be on a wire. Keys that
 * hold `undefined` are left out, as any encoding would.
 * @throws UsageError for what is not JSON, such as a function or an object of a class.
 */
export function copyMessage<T>(message: T): { readonly copy: T; readonly size: number } {
  const copier = new Copier();
  const copy = copier.copy(message);
  // The same JSON, so whatever type describes the message describes its copy.
  return { copy: copy as T, size: copier.size };
}

/** Keeps a list of what is to be filled instead of recursing: a hostile message may be deep. */
class Copier {
  size = 0;
  readonly #arrays: (readonly [source: readonly unknown[], target: JsonValue[]])[] = [];
  readonly #objects: (readonly [source: Readonly<Record<string, unknown>>, target: Record<string, JsonValue>])[] = [];

  copy(message: unknown): JsonValue {
    const root = this.#begin(message);
    for (;;) {
      const object = this.#objects.pop();
      if (object !== undefined) {
        this.#fillObject(...object);
        continue;
      }
      const array = this.#arrays.pop();
      if (array === undefined) return root;
      for (const value of array[0]) array[1].push(this.#begin(value));
    }
  }

  #fillObject(source: Readonly<Record<string, unknown>>, target: Record<string, JsonValue>): void {
    for (const key of Object.keys(source)) {
      const value = source[key];
      if (value === undefined) continue;
      this.size += key.length + 4;
      setOwn(target, key, this.#begin(value));
    }
  }

  /** The copy of a plain value; of an array or an object, an empty one that is filled later. */
  #begin(value: unknown): JsonValue {
    switch (typeof value) {
      case "string":
        this.size += value.length + 2;
        return value;
      case "number":
      case "bigint":
        this.size += 8;
        return value;
      case "boolean":
        this.size += 5;
        return value;
      case "object":
        this.size += 2;
        return value === null ? null : this.#beginObject(value);
      default:
        throw new UsageError(`A message holds JSON, and ${typeof value} is none: send plain data.`);
    }
  }

  #beginObject(value: object): JsonValue {
    if (Array.isArray(value)) {
      const target: JsonValue[] = [];
      this.#arrays.push([value, target]);
      return target;
    }
    if (value instanceof JsonFloat) return new JsonFloat(value.value, value.source);
    if (!isRecord(value)) throw new UsageError("A message holds JSON, not objects of a class: send plain data.");
    const target: Record<string, JsonValue> = {};
    this.#objects.push([value, target]);
    return target;
  }
}

function isRecord(value: object): value is Readonly<Record<string, unknown>> {
  return isPlainObject(value);
}
