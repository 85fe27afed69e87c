/** Requests and answers that are nearly right: of any schema, by what one right value of it looks like. */
import fc from "fast-check";
import { setOwn } from "../../src/json/value.js";
import type { JsonValue } from "../../src/json/index.js";

const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.constantFrom<unknown>(undefined, Number.NaN, -0, 1.5, -1, 2 ** 53, 2n ** 80n, () => 1, Symbol("s"), new Date(0)),
  fc.constantFrom<unknown>(
    "\ud800",
    "__proto__",
    "",
    "@:a.example",
    "@a:a.example",
    "@b:b.example",
    "#room:a.example",
    "f1",
    "b1",
    "b999999999",
  ),
  fc.constantFrom<unknown>("x".repeat(300), "!x:a.example", [[]], [null], { __proto__: null }, true, {
    via: ["a.example"],
  }),
);

interface Change {
  readonly way: readonly number[];
  readonly what: unknown;
  readonly kind: "put" | "drop" | "add";
}

const change: fc.Arbitrary<Change> = fc.record({
  way: fc.array(fc.nat(11), { minLength: 1, maxLength: 4 }),
  what: odd,
  kind: fc.constantFrom("put", "put", "drop", "add"),
});

/** A copy in which the value at the end of a way down is another, gone, or there twice. */
function changed(value: unknown, { way, what, kind }: Change): unknown {
  const [step, ...rest] = way;
  if (step === undefined || typeof value !== "object" || value === null) return what;
  const names = Object.keys(value);
  const name = names[step % Math.max(1, names.length)];
  if (name === undefined) return what;
  const old: unknown = Reflect.get(value, name);
  const now = rest.length === 0 ? what : changed(old, { way: rest, what, kind });
  if (Array.isArray(value)) {
    const at = Number(name);
    if (rest.length > 0 || kind === "put") return value.with(at, now) as unknown;
    return kind === "drop" ? value.toSpliced(at, 1) : [...(value as unknown[]), old];
  }
  const copy: Record<string, JsonValue> = {};
  for (const [key, one] of Object.entries(value)) {
    if (key !== name) setOwn(copy, key, one as JsonValue);
    else if (rest.length > 0 || kind !== "drop")
      setOwn(copy, key, (kind === "add" && rest.length === 0 ? old : now) as JsonValue);
  }
  if (kind === "add" && rest.length === 0) setOwn(copy, typeof what === "string" ? what : `${name}x`, old as JsonValue);
  return copy;
}

/** Anything at all, or something that is nearly right. */
export function near(value: unknown): fc.Arbitrary<unknown> {
  const nearly = fc.array(change, { maxLength: 3 }).map((changes) => changes.reduce<unknown>(changed, value));
  return fc.oneof({ weight: 1, arbitrary: odd }, { weight: 6, arbitrary: nearly });
}
