/**
 * JSON as rooms need it: parsers that see the source, checks of parsed values, and canonical JSON.
 *
 * @module
 */
export { encodeCanonical } from "./canonical.js";
export { encodeCanonicalBytes } from "./canonical-bytes.js";
export { checkLax, checkStrict } from "./check.js";
export type { CheckOptions } from "./check.js";
export { compareCodePoints } from "./compare.js";
export { DEFAULT_MAX_DEPTH, parseLax, parseStrict } from "./parse.js";
export type { ParseOptions } from "./parse.js";
export { codePointLength, utf8Decode, utf8Encode, utf8Length } from "./utf8.js";
export { get, isArray, isInteger, isObject, JsonFloat, setOwn } from "./value.js";
export type { JsonArray, JsonObject, JsonValue } from "./value.js";
