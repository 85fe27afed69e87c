/** Events that somebody sends to break a server. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { get, isArray, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import { arbEvent } from "./event.js";
import type { ArbEventOptions } from "./event.js";
import { withKeys } from "./forge.js";

/**
 * Something to hand to a parser in place of an event. `hostility` names what is wrong with it; a few are
 * wrong in some room versions only, and a few in none.
 */
export type HostileEvent =
  | { readonly hostility: string; readonly form: "value"; readonly value: unknown }
  | { readonly hostility: string; readonly form: "text"; readonly text: string };

/** Keys of events, those of other room versions included. */
const eventKeys = [
  ...["type", "sender", "content", "depth", "hashes", "signatures", "origin_server_ts", "auth_events", "prev_events"],
  ...["room_id", "event_id", "state_key", "redacts", "unsigned"],
];

const wrongTypes = fc.constantFrom<unknown>(
  ...[null, true, false, 0, -1, 1.5, 2 ** 53, NaN, Infinity, -0, "", "x", [], {}, [[]], [null], [{}], undefined],
  ...["\ud800", "$", "@:", "!", "\u0000", "__proto__", { __proto__: null }],
);

/** A level deeper than call stacks reach. */
const DEEP = 20_000;

/** Values that no JSON parser makes. */
const notData: readonly (() => unknown)[] = [
  () => ({ toJSON: () => "replaced" }),
  () => Object.defineProperty({}, "x", { get: () => 1, enumerable: true }),
  () => new Date(0),
  () => new Map([["x", 1]]),
  () => 10n,
  () => Symbol("x"),
  () => (): number => 1,
  () => new Array<unknown>(3),
  () => Object.create({ inherited: 1 }) as unknown,
  () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    return cycle;
  },
  () => nested(DEEP),
];

type Change = (event: JsonObject) => unknown;

/** Sets keys to anything, also to what is no JSON. */
function put(event: JsonObject, key: string, value: unknown): Record<string, unknown> {
  const copy: Record<string, unknown> = { ...event };
  Object.defineProperty(copy, key, { value, enumerable: true, writable: true, configurable: true });
  return copy;
}

function inContent(event: JsonObject, key: string, value: unknown): Record<string, unknown> {
  return put(event, "content", put((event["content"] ?? {}) as JsonObject, key, value));
}

const list = (length: number, entry: JsonValue): JsonValue => Array.from({ length }, () => entry);
const hashId = `$${"h".repeat(43)}`;

const fixed: Readonly<Record<string, Change>> = {
  "not an object": () => [],
  "depth beyond 2^53-1": (event) => put(event, "depth", 2 ** 53),
  "depth of 2^53-1": (event) => put(event, "depth", 2 ** 53 - 1),
  "depth as text": (event) => put(event, "depth", "1"),
  "auth_events of another room": (event) => put(event, "auth_events", [hashId]),
  "auth_events twice": (event) => {
    const cited = get(event, "auth_events");
    return put(event, "auth_events", isArray(cited) ? [...cited, ...cited] : []);
  },
  "too many auth_events": (event) => put(event, "auth_events", list(11, hashId)),
  "too many prev_events": (event) => put(event, "prev_events", list(21, hashId)),
  "very many prev_events": (event) => put(event, "prev_events", list(20_000, "$")),
  "references as pairs": (event) => put(event, "prev_events", [["$a:a.example", { sha256: "" }]]),
  "references as broken pairs": (event) =>
    put(event, "prev_events", [["$a:a.example"], ["$a:a.example", null], [1, {}]]),
  "state_key null": (event) => put(event, "state_key", null),
  "a float": (event) => inContent(event, "x", 0.5),
  "negative zero": (event) => inContent(event, "x", -0),
  "a lone surrogate as a value": (event) => inContent(event, "x", "\ud800"),
  "a lone surrogate as a key": (event) => inContent(event, "\udc00", 1),
  "__proto__ in the event": (event) => put(event, "__proto__", { type: "m.room.create", admin: true }),
  "__proto__ in the content": (event) => inContent(event, "__proto__", { membership: "join", users: {} }),
  "constructor in the content": (event) => inContent(event, "constructor", { prototype: { membership: "join" } }),
  "a long type": (event) => put(event, "type", "t".repeat(256)),
  "a long state key in bytes": (event) => put(event, "state_key", "\u00e9".repeat(128)),
  "a long sender": (event) => put(event, "sender", `@${"u".repeat(250)}:a.example`),
  "a long room id": (event) => put(event, "room_id", `!${"r".repeat(250)}:a.example`),
  "more than 65,536 bytes": (event) => inContent(event, "x", "x".repeat(65_536)),
  "many keys": (event) =>
    put(event, "content", Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`k${at}`, at]))),
  "signatures that are none": (event) =>
    put(event, "signatures", { "a.example": null, "b.example": { "ed25519:x": 5, "": [] } }),
  "hashes that are none": (event) => put(event, "hashes", { sha256: 5 }),
  "a sender without a domain": (event) => put(event, "sender", "@alice"),
  "a sender whose domain follows a later colon": (event) => put(event, "sender", "@u:other:8448"),
};

const textual: Readonly<Record<string, (text: string) => string>> = {
  "a float in the source": (text) => withMember(text, '"x":1.0'),
  "an exponent in the source": (text) => withMember(text, '"x":1e2'),
  "a number that overflows": (text) => withMember(text, '"x":1e400'),
  "a number that rounds": (text) => withMember(text, '"x":9007199254740993'),
  "negative zero in the source": (text) => withMember(text, '"x":-0'),
  "a leading zero": (text) => withMember(text, '"x":01'),
  "a key twice": (text) => withMember(text, '"type":"m.room.create","type":"m.room.member"'),
  "__proto__ in the source": (text) => withMember(text, '"__proto__":{"type":"m.room.create"}'),
  "an escaped lone surrogate": (text) => withMember(text, '"x":"\\ud800"'),
  NaN: (text) => withMember(text, '"x":NaN'),
  "a trailing comma": (text) => `${text.slice(0, -1)},}`,
  "a byte order mark": (text) => `\ufeff${text}`,
  "text after the end": (text) => `${text} {}`,
  "a raw control character": (text) => withMember(text, '"x":"\n"'),
  "an end that is missing": (text) => text.slice(0, -1),
  nothing: () => "",
  "deep arrays": (text) => withMember(text, `"x":${"[".repeat(DEEP)}${"]".repeat(DEEP)}`),
  "deep arrays that do not end": (text) => withMember(text, `"x":${"[".repeat(DEEP)}`),
  "deep objects": (text) => withMember(text, `"x":${'{"a":'.repeat(DEEP)}0${"}".repeat(DEEP)}`),
};

function withMember(text: string, member: string): string {
  return `{${member},${text.slice(1)}`;
}

function nested(levels: number): JsonValue {
  let value: JsonValue = [];
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

/**
 * Events of {@link arbEvent} with something wrong: keys missing or of another type, numbers, references
 * and sizes beyond their limits, values that no parser makes, and JSON text that is no JSON, is
 * nested 20,000 deep or means something else to another parser. Whoever gets one should answer with a refusal or
 * take it; never throw, hang, or fill the memory.
 *
 * @param version Identifier of a room version, such as `"12"`.
 * @throws UsageError when the registry does not have the version.
 */
export function arbHostileEvent(version: string, options: ArbEventOptions = {}): Arbitrary<HostileEvent> {
  const events = arbEvent(version, options);
  const value = (hostility: string, made: unknown): HostileEvent => ({ hostility, form: "value", value: made });
  const one = fc.constantFrom(...eventKeys);
  return fc.oneof(
    fc
      .record({ event: events, keys: fc.uniqueArray(one, { minLength: 1, maxLength: 3 }) })
      .map(({ event, keys }) => value(`without ${keys.join(", ")}`, without(event, keys))),
    fc
      .record({ event: events, key: one, wrong: wrongTypes })
      .map(({ event, key, wrong }) => value(`${key} of another type`, put(event, key, wrong))),
    fc
      .record({ event: events, what: fc.constantFrom(...Object.keys(fixed)) })
      .map(({ event, what }) => value(what, fixed[what]?.(event))),
    fc
      .record({
        event: events,
        make: fc.constantFrom(...notData),
        key: fc.constantFrom("content", "x", "type", "hashes"),
        inside: fc.boolean(),
      })
      .map(({ event, make, key, inside }) =>
        value(`no data at ${key}`, inside ? inContent(event, key, make()) : put(event, key, make())),
      ),
    fc
      .record({ event: events, what: fc.constantFrom(...Object.keys(textual)) })
      .map(({ event, what }): HostileEvent => ({
        hostility: what,
        form: "text",
        text: textual[what]?.(JSON.stringify(event)) ?? "",
      })),
    fc
      .record({ event: events, extra: fc.string({ unit: "binary" }), at: fc.nat() })
      .map(({ event, extra, at }): HostileEvent => {
        const text = JSON.stringify(event);
        const cut = at % text.length;
        return {
          hostility: "text with something inserted",
          form: "text",
          text: text.slice(0, cut) + extra + text.slice(cut),
        };
      }),
  );
}

function without(event: JsonObject, keys: readonly string[]): JsonObject {
  const copy: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(withKeys(event, {}))) if (!keys.includes(key)) setOwn(copy, key, value);
  return copy;
}
