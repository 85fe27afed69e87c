/** Room version 2 (spec rooms/v2): state resolution v2. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { resolveV2 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV1 } from "./v1.js";

export const rulesV2: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV1, "2", {
  stateResolution: "v2",
});

/** Room version 2: state resolution 2. */
export const v2: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV2, resolveV2);
