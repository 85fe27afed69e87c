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
} from "./model.js";
export { deriveRules, freezeDeep } from "./define.js";
export type { RuleChanges } from "./define.js";
