/** Room version 9 (spec rooms/v9): redaction keeps who authorised a restricted join. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { redactionV9 } from "../rules/redaction.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV8 } from "./v8.js";

export const rulesV9: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV8, "9", {
  redaction: redactionV9,
});

/** Room version 9: redaction keeps the authoriser of a restricted join. */
export const v9: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV9, resolveV2);
