/** Room version 1 (spec rooms/v1): where every other version starts from. */
import { freezeDeep } from "../rules/define.js";
import type { RoomVersionRules } from "../rules/model.js";
import { numberingV1 } from "../rules/numbering.js";
import { redactionV1 } from "../rules/redaction.js";
import { resolveV1 } from "../stateres/v1.js";
import { defineRoomVersion } from "./room-version.js";
import type { RoomVersion } from "./room-version.js";

export const rulesV1: RoomVersionRules = /* @__PURE__ */ freezeDeep({
  id: "1",
  format: {
    eventIds: "in-pdu",
    references: "pairs",
    roomIds: "domain",
    numbers: "lax",
    fieldLimit: "code-points-dropped-bytes-rejected",
    redacts: "top-level",
  },
  redaction: redactionV1,
  signing: { eventIdServer: true, authorisingServer: false, keyValidity: "ignored" },
  auth: {
    creator: "content",
    creatorPower: "default",
    createEvent: "cited",
    aliases: true,
    redactions: true,
    notifications: false,
    powerLevelValues: "integer-string-float",
    knock: false,
    restricted: false,
    knockRestricted: false,
    numbering: numberingV1,
  },
  stateResolution: "v1",
  content: "plain",
  tombstoneAboveStateDefault: false,
} as const);

/** Room version 1: state resolution 1, ids chosen by servers. */
export const v1: RoomVersion = /* @__PURE__ */ defineRoomVersion(rulesV1, resolveV1);
