/** Room version 7 (spec rooms/v7): knocking. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV7 } from "../rules/numbering.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV6 } from "./v6.js";

export const rulesV7: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV6, "7", {
  auth: { knock: true, numbering: numberingV7 },
});

/** Room version 7: knocking. */
export const v7: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV7, resolveV2);
