/**
 * The canonical forms of one event. Its size, its content hash, its id and its signatures are about the same
 * top-level keys, more or fewer of them: each is written once and the forms are put together from them. Writing
 * the whole event anew for each form took a third of all that receiving an event takes (docs/performance.md).
 */
import { sha256 } from "../crypto/hash.js";
import { encodeCanonical, encodeMembers } from "../json/canonical.js";
import { utf8Encode } from "../json/utf8.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { redactedContent } from "./redact.js";

/** What {@link contentHash} and {@link referenceHash} say about the event too: the tests hold them together. */
export class EventForms {
  readonly #rules: RoomVersionRules;
  readonly #event: JsonObject;
  readonly #keys: readonly string[];
  readonly #members: readonly string[];
  #signedBytes: Uint8Array | undefined;

  constructor(rules: RoomVersionRules, event: JsonObject) {
    this.#rules = rules;
    this.#event = event;
    const { keys, members } = encodeMembers(event);
    this.#keys = keys;
    this.#members = members;
  }

  /** Length of {@link EventForms.whole} in UTF-16 units. */
  get length(): number {
    let length = 1 + Math.max(1, this.#members.length);
    for (const member of this.#members) length += member.length;
    return length;
  }

  /** The whole event as canonical JSON. */
  whole(): string {
    return `{${this.#members.join(",")}}`;
  }

  /** The content hash as it should be. */
  contentHash(): Uint8Array {
    let text = "{";
    for (let at = 0; at < this.#keys.length; at++) {
      const key = this.#keys[at];
      if (key !== "hashes" && key !== "signatures" && key !== "unsigned") text = append(text, this.#members[at]);
    }
    return sha256(text + "}");
  }

  /** The bytes under the signatures and the reference hash: the redacted event without `signatures` and `unsigned`. */
  signedBytes(): Uint8Array {
    if (this.#signedBytes !== undefined) return this.#signedBytes;
    const { topLevel } = this.#rules.redaction;
    let text = "{";
    for (let at = 0; at < this.#keys.length; at++) {
      const key = this.#keys[at] ?? "";
      if (key === "content") text = append(text, this.#content(at));
      else if (key !== "signatures" && key !== "unsigned" && topLevel.includes(key)) {
        text = append(text, this.#members[at]);
      }
    }
    return (this.#signedBytes = utf8Encode(text + "}"));
  }

  #content(at: number): string | undefined {
    const kept = redactedContent(this.#rules, this.#event);
    const whole = kept === undefined || kept === this.#event["content"];
    return whole ? this.#members[at] : `"content":${encodeCanonical(kept)}`;
  }

  referenceHash(): Uint8Array {
    return sha256(this.signedBytes());
  }
}

function append(text: string, member: string | undefined): string {
  if (member === undefined) return text;
  return text.length === 1 ? text + member : text + "," + member;
}
