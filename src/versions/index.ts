/**
 * Room versions as data, and registries of them.
 *
 * @module
 */
import { i1 } from "./i1.js";
import { createRegistry } from "./registry.js";
import type { RoomVersionRegistry } from "./registry.js";
import { v1 } from "./v1.js";
import { v10 } from "./v10.js";
import { v11 } from "./v11.js";
import { v12 } from "./v12.js";
import { v2 } from "./v2.js";
import { v3 } from "./v3.js";
import { v4 } from "./v4.js";
import { v5 } from "./v5.js";
import { v6 } from "./v6.js";
import { v7 } from "./v7.js";
import { v8 } from "./v8.js";
import { v9 } from "./v9.js";

export { createRegistry } from "./registry.js";
export type { RoomVersionRegistry } from "./registry.js";
export { defineRoomVersion } from "./room-version.js";
export type { RoomVersion } from "./room-version.js";
export { deriveRules } from "../rules/define.js";
export type { RuleChanges } from "../rules/define.js";
export type {
  AuthRules,
  EventIdFormat,
  FormatRules,
  KeptContent,
  PowerLevelValues,
  RedactionRules,
  RoomVersionRules,
  RuleName,
  RuleNumbering,
  SigningRules,
} from "../rules/model.js";
export { i1, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12 };

/** Every version of the Matrix spec, and I.1. */
export const roomVersions: RoomVersionRegistry = /* @__PURE__ */ createRegistry([
  v1,
  v2,
  v3,
  v4,
  v5,
  v6,
  v7,
  v8,
  v9,
  v10,
  v11,
  v12,
  i1,
]);
