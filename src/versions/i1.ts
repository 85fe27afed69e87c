/** I.1 (draft-ralston-mimi-matrix-framework section 5): room version 10 with the extensible events of MSC1767. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV10 } from "./v10.js";

export const rulesI1: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV10, "I.1", {
  content: "extensible",
});

/** Room version I.1: room version 10 with extensible events. */
export const i1: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesI1, resolveV2);
