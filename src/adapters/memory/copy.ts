/** Copies of plain data, as if it had travelled. */
import { isPlainObject, setOwn } from "../../json/value.js";
import type { JsonValue } from "../../json/value.js";

/**
 * A copy that shares no array or object with `value`; what is neither, a {@link JsonFloat} among it, is
 * immutable and stays as it is. It works without recursion, because the data may be nested by an enemy.
 */
export function copyData<T>(value: T): T {
  const todo: (() => void)[] = [];
  // A copy has the type of what it is a copy of.
  const result = copyInto(value, todo) as T;
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) next();
  return result;
}

function copyInto(value: unknown, todo: (() => void)[]): unknown {
  if (Array.isArray(value)) {
    const source: readonly unknown[] = value;
    const target: unknown[] = [];
    todo.push(() => {
      for (const entry of source) target.push(copyInto(entry, todo));
    });
    return target;
  }
  if (typeof value !== "object" || value === null || !isPlainObject(value)) return value;
  const target: Record<string, JsonValue> = {};
  todo.push(() => {
    for (const [key, entry] of Object.entries(value)) setOwn(target, key, copyInto(entry, todo) as JsonValue);
  });
  return target;
}
