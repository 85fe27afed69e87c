/** Room version 3 (spec rooms/v3): event ids are reference hashes; redactions are no authorisation rule any more. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV3 } from "../rules/numbering.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV2 } from "./v2.js";

export const rulesV3: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV2, "3", {
  format: { eventIds: "hash-standard", references: "ids" },
  signing: { eventIdServer: false },
  auth: { redactions: false, numbering: numberingV3 },
});

/** Room version 3: event ids are hashes. */
export const v3: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV3, resolveV2);
