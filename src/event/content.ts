/**
 * Extensible content of room version I.1 (MSC1767): every top-level key of `content` is a content
 * block, and text is the block that any reader can fall back to. Nothing here decides whether a PDU
 * is accepted; it says what a reader may show and what a server should not let its own users send.
 * Only the stable names are read.
 *
 * A PDU holds at most 65,536 bytes, so a block's representations are read in full, in linear time.
 */
import { ok, refuse, type Refusal, type Result } from "../errors.js";
import { get, isArray, isObject, type JsonObject, type JsonValue } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";

/** One way of writing a text. */
export interface TextRepresentation {
  readonly body: string;
  /** Exactly as sent; `text/plain` when the sender gave none. */
  readonly mimetype: string;
}

/** An `m.text` block: the valid representations in the sender's order, possibly none. */
export type TextBlock = readonly TextRepresentation[];

/** The content of an `m.message` event. */
export interface Message {
  readonly text: TextBlock;
}

/** What a reader needs to know of an event to render it. */
export interface RenderableEvent {
  readonly type: string;
  /** `undefined` for an event that is not a state event; the empty string is a state key. */
  readonly stateKey: string | undefined;
  readonly content: JsonObject;
}

/** An event type that a reader can render, and whether content carries the blocks it needs. */
export interface EventSchema {
  readonly type: string;
  /** Whether content carries the blocks that this type needs. */
  matches(content: JsonObject): boolean;
}

/** How an event may be shown. */
export type Rendering =
  /** An `m.message`. */
  | { readonly kind: "message"; readonly text: TextBlock }
  /** A type that the reader knows, with the blocks it needs. */
  | { readonly kind: "known"; readonly schema: string }
  /** An unknown type whose blocks suit the known type `schema`. */
  | { readonly kind: "fallback"; readonly schema: string; readonly text: TextBlock | undefined }
  /** A state event: whatever its blocks, it is never shown as a message. */
  | { readonly kind: "state" }
  /** A deprecated type: it stays in the room, and must not be rendered. */
  | { readonly kind: "deprecated"; readonly replacement: string }
  /** No known schema suits its blocks. */
  | { readonly kind: "unrenderable" };

const PLAIN = "text/plain";
const MESSAGE = "m.message";

/**
 * Deprecated types and what replaces them. The MSC leaves the list to the room version; I.1 names
 * none, and `m.room.message` is the one that the MSC itself deprecates.
 */
export const deprecatedTypes: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([["m.room.message", MESSAGE]]);

/**
 * Reads `m.text`. Representations that are no objects, lack a string `body` or have a `mimetype`
 * that is no string are skipped. `undefined` when the block is absent or not an array.
 */
export function readText(content: JsonObject): TextBlock | undefined {
  const block = get(content, "m.text");
  return isArray(block) ? block.flatMap(readRepresentation) : undefined;
}

function readRepresentation(value: JsonValue): readonly TextRepresentation[] {
  if (!isObject(value)) return [];
  const body = get(value, "body");
  const mimetype = Object.hasOwn(value, "mimetype") ? get(value, "mimetype") : PLAIN;
  return typeof body === "string" && typeof mimetype === "string" ? [{ body, mimetype }] : [];
}

/**
 * The first representation, in the sender's order, whose mimetype is among those `understood`
 * (compared exactly), or `undefined` when there is none.
 */
export function chooseText(block: TextBlock, understood: readonly string[] = [PLAIN]): TextRepresentation | undefined {
  return block.find(({ mimetype }) => understood.includes(mimetype));
}

/** The `text/plain` form of `m.text`: what the push condition on `content.body` reads in I.1. */
export function plainText(content: JsonObject): string | undefined {
  return chooseText(readText(content) ?? [])?.body;
}

/** Reads the content of `m.message`; refused as `bad_format` without an `m.text` array. */
export function readMessage(content: JsonObject): Result<Message> {
  const text = readText(content);
  if (text !== undefined) return ok({ text });
  return refuse("bad_format", "An m.message needs m.text, an array of representations.", { rule: "MSC1767 m.message" });
}

/** The schema that any reader has: content with an `m.text` array can be shown as `m.message`. */
export const messageSchema: EventSchema = /* @__PURE__ */ Object.freeze({
  type: MESSAGE,
  matches: (content: JsonObject): boolean => readText(content) !== undefined,
});

/**
 * How an event of an I.1 room may be shown. `knownSchemas` are the types that the reader renders,
 * richest first: an unknown type falls back to the first whose blocks it carries, and to text last.
 * A known type without the blocks it needs is not tried as anything else.
 */
export function renderable(event: RenderableEvent, knownSchemas: readonly EventSchema[] = []): Rendering {
  if (event.stateKey !== undefined) return { kind: "state" };
  const replacement = deprecatedTypes.get(event.type);
  if (replacement !== undefined) return { kind: "deprecated", replacement };
  const text = readText(event.content);
  if (event.type === MESSAGE) return text === undefined ? { kind: "unrenderable" } : { kind: "message", text };
  const own = knownSchemas.find(({ type }) => type === event.type);
  if (own !== undefined) {
    return own.matches(event.content) ? { kind: "known", schema: own.type } : { kind: "unrenderable" };
  }
  const suited = [...knownSchemas, messageSchema].find((schema) => schema.matches(event.content));
  return suited === undefined ? { kind: "unrenderable" } : { kind: "fallback", schema: suited.type, text };
}

/**
 * Why an event of this type must not be made here, or `undefined` when it may be. The first argument
 * is the `content` of the room version's rules (`version("I.1").rules.content`), not of an event.
 * For local senders only: a received PDU is never refused for its type.
 */
export function guardLocalContent(content: RoomVersionRules["content"], type: string): Refusal | undefined {
  const replacement = content === "extensible" ? deprecatedTypes.get(type) : undefined;
  if (replacement === undefined) return undefined;
  const reason = `${type} is deprecated in rooms with extensible events: send ${replacement} instead.`;
  return refuse("bad_format", reason, { rule: "MSC1767 Room version" }).error;
}
