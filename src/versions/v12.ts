/** Room version 12 (spec rooms/v12): the room id is the create event's hash, creators outrank all, resolution v2.1. */
import { deriveRules } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV12 } from "../rules/numbering.js";
import { resolveV21 } from "../stateres/v2.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";
import { rulesV11 } from "./v11.js";

export const rulesV12: RoomVersionRules = /* @__PURE__ */ deriveRules(rulesV11, "12", {
  format: { roomIds: "create-hash" },
  auth: { creatorPower: "infinite", createEvent: "implied", numbering: numberingV12 },
  stateResolution: "v2.1",
  tombstoneAboveStateDefault: true,
});

/** Room version 12: room ids are hashes, creators stand above every level, state resolution 2.1. */
export const v12: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV12, resolveV21);
