/** Room version 11 (spec rooms/v11): the sender of the create event is the creator; redaction was cleaned up. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV11 } from "../rules/numbering.js";
import { redactionV11 } from "../rules/redaction.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV10 } from "./v10.js";

export const rulesV11: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV10, "11", {
  format: { redacts: "content", fieldLimit: "bytes-dropped" },
  redaction: redactionV11,
  auth: { creator: "sender", numbering: numberingV11 },
});

/** Room version 11: the sender is the creator, redaction keeps more. */
export const v11: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV11, resolveV2);
