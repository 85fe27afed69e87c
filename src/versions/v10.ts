/** Room version 10 (spec rooms/v10): integer power levels, knocking on restricted rooms. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV10 } from "../rules/numbering.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV9 } from "./v9.js";

export const rulesV10: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV9, "10", {
  auth: { powerLevelValues: "integer", knockRestricted: true, numbering: numberingV10 },
});

/** Room version 10: integer power levels, `knock_restricted`. */
export const v10: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV10, resolveV2);
