/**
 * The canonical forms of one event. Its size, its content hash, its id and its signatures are about the same
 * top-level keys, more or fewer of them: each is written once and the forms are put together from them. Writing
 * the whole event anew for each form took a third of all that receiving an event takes (docs/performance.md).
 */
import { sha256 } from "../crypto/hash.js";
import { UsageError } from "../errors.js";
import { writeBytes } from "../json/canonical-bytes.js";
import type { BytesWriter } from "../json/canonical-bytes.js";
import { orderOf } from "../json/canonical.js";
import type { Order } from "../json/canonical.js";
import type { JsonObject } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { redactedContent } from "./redact.js";

/**
 * Bytes of a whole PDU in canonical form, signatures included: 65,536 pass and 65,537 fail. `unsigned` counts, as an
 * empty object where it is absent: Synapse, which live rooms depend on, has none without (digest SZ1).
 */
export const MAX_PDU_BYTES = 65_536;

const EMPTY_UNSIGNED = ',"unsigned":{}'.length;

/** What {@link contentHash} and {@link referenceHash} say about the event too: the tests hold them together. */
export class EventForms {
  readonly #rules: RoomVersionRules;
  readonly #event: JsonObject;
  readonly #order: Order;
  /** What the content hash covers, and `hashes` after that. */
  readonly #written: Uint8Array;
  readonly #covered: number;
  /** Where each member ends, and the next begins with its comma; of what is not covered, where it would be. */
  readonly #ends: readonly number[];
  #signed: Uint8Array | undefined;

  private constructor(
    rules: RoomVersionRules,
    event: JsonObject,
    order: Order,
    written: Uint8Array,
    covered: number,
    ends: readonly number[],
  ) {
    this.#rules = rules;
    this.#event = event;
    this.#order = order;
    this.#written = written;
    this.#covered = covered;
    this.#ends = ends;
  }

  /** `undefined` where the event takes more than {@link MAX_PDU_BYTES}. */
  static of(rules: RoomVersionRules, event: JsonObject): EventForms | undefined {
    return writeBytes(MAX_PDU_BYTES, (writer) => EventForms.#write(writer, rules, event));
  }

  static #write(writer: BytesWriter, rules: RoomVersionRules, event: JsonObject): EventForms | undefined {
    const order = orderOf(Object.keys(event));
    const { keys, names } = order;
    const ends: number[] = [];
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at] ?? "";
      if (isContentHashed(key)) writer.member(names[at] ?? NOTHING, event[key]);
      ends.push(writer.length);
    }
    writer.join(0);
    writer.close();
    const covered = writer.length;
    let size = covered + EMPTY_UNSIGNED;
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at] ?? "";
      if (isContentHashed(key)) continue;
      const before = writer.length;
      writer.member(names[at] ?? NOTHING, event[key]);
      size += writer.length - before;
      if (key === "unsigned") size -= EMPTY_UNSIGNED;
      // No hash covers the others.
      if (key !== "hashes") writer.cut(before);
    }
    if (writer.isFull || size > MAX_PDU_BYTES) return undefined;
    return new EventForms(rules, event, order, writer.view(), covered, ends);
  }

  /** The content hash as it should be. */
  contentHash(): Uint8Array {
    return sha256(this.#written.subarray(0, this.#covered));
  }

  /**
   * The bytes under the signatures and the reference hash: the redacted event without `signatures` and `unsigned`. They
   * lie among those of other events: whoever hands them to a host hands over a copy.
   */
  signedBytes(): Uint8Array {
    return (this.#signed ??= writeBytes(MAX_PDU_BYTES, (writer) => {
      this.#writeSigned(writer);
      if (writer.isFull) throw new UsageError("an event was changed while it was read");
      return writer.view();
    }));
  }

  referenceHash(): Uint8Array {
    return sha256(this.signedBytes());
  }

  #writeSigned(writer: BytesWriter): void {
    const { keys, names } = this.#order;
    // Members that stand side by side are copied together.
    let [begin, end] = [0, 0];
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at] ?? "";
      const kept = key === "content" ? redactedContent(this.#rules, this.#event) : undefined;
      if (kept !== undefined && kept !== this.#event["content"]) {
        this.#copy(writer, begin, end);
        begin = end;
        const from = writer.length;
        writer.member(names[at] ?? NOTHING, kept);
        writer.join(from);
      } else if (isReferenceHashed(this.#rules, key)) {
        const isHashes = key === "hashes";
        const from = isHashes ? this.#covered : (this.#ends[at - 1] ?? 0);
        if (from !== end) {
          this.#copy(writer, begin, end);
          begin = from;
        }
        end = isHashes ? this.#written.length : (this.#ends[at] ?? 0);
      }
    }
    this.#copy(writer, begin, end);
    writer.close();
  }

  #copy(writer: BytesWriter, begin: number, end: number): void {
    if (begin === end) return;
    const from = writer.length;
    writer.copy(this.#written, begin, end);
    writer.join(from);
  }
}

const NOTHING = new Uint8Array(0);

/** Whether the content hash covers a top-level key. */
export function isContentHashed(key: string): boolean {
  return key !== "hashes" && key !== "signatures" && key !== "unsigned";
}

/** Whether the reference hash and the signatures cover a top-level key; of `content`, what redaction leaves. */
export function isReferenceHashed({ redaction }: RoomVersionRules, key: string): boolean {
  return key !== "signatures" && key !== "unsigned" && redaction.topLevel.includes(key);
}
