/** Putting many small things into few EDUs: one transaction holds a hundred. */
import { setOwn } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";

/** What may be lost: a typing EDU as it is, one user's presence, or one receipt. */
export type Ephemeral =
  | { readonly kind: "typing"; readonly content: JsonObject }
  | { readonly kind: "presence"; readonly update: JsonObject }
  | {
      readonly kind: "receipt";
      readonly roomId: string;
      readonly userId: string;
      /** `event_ids` and `data`. */
      readonly receipt: JsonObject;
    };

/** Receipts or updates in one EDU: fewer than others are likely to refuse. */
const MAX_COMBINED = 100;

interface Combined {
  readonly edus: readonly JsonValue[];
  /** What is in them. */
  readonly keys: readonly string[];
}

type Receipt = Extract<Ephemeral, { readonly kind: "receipt" }>;

interface Receipts {
  readonly all: Omit<Receipt, "kind">[];
  /** Rooms and users whose place is taken. */
  readonly places: Set<string>;
}

/** As many entries as go into `limit` EDUs, the first ones first. */
export function combine(entries: readonly (readonly [key: string, entry: Ephemeral])[], limit: number): Combined {
  const typing: JsonObject[] = [];
  const presence: JsonObject[][] = [];
  const receipts: Receipts[] = [];
  const keys: string[] = [];
  const isFull = (): boolean => typing.length + presence.length + receipts.length >= limit;
  const add = (entry: Ephemeral): boolean => {
    switch (entry.kind) {
      case "typing":
        return !isFull() && typing.push(entry.content) > 0;
      case "presence":
        return addPresence(presence, entry.update, isFull);
      case "receipt":
        return addReceipt(receipts, entry, isFull);
    }
  };
  for (const [key, entry] of entries) if (add(entry)) keys.push(key);
  return {
    keys,
    edus: [
      ...typing.map((content) => ({ edu_type: "m.typing", content })),
      ...presence.map((push) => ({ edu_type: "m.presence", content: { push } })),
      ...receipts.map(({ all }) => ({ edu_type: "m.receipt", content: receiptsJson(all) })),
    ],
  };
}

function addPresence(edus: JsonObject[][], update: JsonObject, isFull: () => boolean): boolean {
  let last = edus.at(-1);
  if (last === undefined || last.length >= MAX_COMBINED) {
    if (isFull()) return false;
    edus.push((last = []));
  }
  last.push(update);
  return true;
}

/** An EDU has one place for each user in each room; receipts of several threads need as many EDUs. */
function addReceipt(edus: Receipts[], receipt: Receipt, isFull: () => boolean): boolean {
  const place = JSON.stringify([receipt.roomId, receipt.userId]);
  let free = edus.find(({ all, places }) => all.length < MAX_COMBINED && !places.has(place));
  if (free === undefined) {
    if (isFull()) return false;
    edus.push((free = { all: [], places: new Set() }));
  }
  free.all.push(receipt);
  free.places.add(place);
  return true;
}

/** The content of an `m.receipt`, where no user has two receipts in one room. */
export function receiptsJson(receipts: readonly Omit<Receipt, "kind">[]): JsonObject {
  const rooms = new Map<string, Record<string, JsonValue>>();
  for (const { roomId, userId, receipt } of receipts) {
    const users = rooms.get(roomId) ?? {};
    rooms.set(roomId, users);
    setOwn(users, userId, receipt);
  }
  const content: Record<string, JsonValue> = {};
  for (const [roomId, users] of rooms) setOwn(content, roomId, { "m.read": users });
  return content;
}
