/** Room version 8 (spec rooms/v8): restricted joins, signed by the authorising server. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV8 } from "../rules/numbering.js";
import { redactionV8 } from "../rules/redaction.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV7 } from "./v7.js";

export const rulesV8: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV7, "8", {
  redaction: redactionV8,
  signing: { authorisingServer: true },
  auth: { restricted: true, numbering: numberingV8 },
});

/** Room version 8: restricted joins. */
export const v8: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV8, resolveV2);
