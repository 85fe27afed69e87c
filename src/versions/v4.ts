/** Room version 4 (spec rooms/v4): event ids in the URL-safe alphabet. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV3 } from "./v3.js";

export const rulesV4: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV3, "4", {
  format: { eventIds: "hash-url-safe" },
});

/** Room version 4: event ids are hashes, in the URL-safe alphabet. */
export const v4: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV4, resolveV2);
