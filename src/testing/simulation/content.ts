/** What users say in rooms of one version and another. */
import type { Room } from "../../engine/room.js";
import type { JsonObject } from "../../json/value.js";

/** A message as the room's version has it. */
export function messageOf(
  room: Room | undefined,
  text: string,
): { readonly type: string; readonly content: JsonObject } {
  return room?.version.rules.content === "extensible"
    ? { type: "m.message", content: { "m.text": [{ body: text }] } }
    : { type: "m.room.message", content: { msgtype: "m.text", body: text } };
}
