/** Room version 5 (spec rooms/v5): signing keys must have been valid when the event was sent. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV4 } from "./v4.js";

export const rulesV5: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV4, "5", {
  signing: { keyValidity: "enforced" },
});

/** Room version 5: key validity is enforced. */
export const v5: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV5, resolveV2);
