/** Room version 6 (spec rooms/v6): canonical JSON is enforced, aliases lose their rule, notifications gain one. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV6 } from "../rules/numbering.js";
import { redactionV6 } from "../rules/redaction.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV5 } from "./v5.js";

export const rulesV6: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV5, "6", {
  format: { numbers: "strict" },
  redaction: redactionV6,
  auth: { aliases: false, notifications: true, powerLevelValues: "integer-string", numbering: numberingV6 },
});

/** Room version 6: canonical JSON is enforced. */
export const v6: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV6, resolveV2);
