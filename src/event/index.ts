/**
 * PDUs: format, redaction, hashes, signatures, building, and the content of extensible events.
 *
 * @module
 */
export { isState } from "./pdu.js";
export type { Pdu, RoomEvent, StateEvent } from "./pdu.js";
export { MAX_AUTH_EVENTS, MAX_FIELD_LENGTH, MAX_PREV_EVENTS, parsePdu, parsePduText, readPdu } from "./format.js";
export type { ParseOptions } from "./format.js";
export { MAX_PDU_BYTES } from "./forms.js";
export type { EventForms } from "./forms.js";
export { readEvent, separateId } from "./loose.js";
export type { LooseEvent } from "./loose.js";
export { redact } from "./redact.js";
export { contentHash, contentHashMatches, eventIdOf, referenceHash } from "./hashes.js";
export { attachSignature, cosignEvent, eventSignedBytes, hashEvent, signedBytes, signEvent, signJson } from "./sign.js";
export type { SigningKey } from "./sign.js";
export { checkSignatures, planSignatures, requiredSigners, settleSignatures } from "./signatures.js";
export type {
  KeyLookup,
  SignatureCheck,
  SignaturePlan,
  SettledPlan,
  SignatureReport,
  SignerVerdict,
  VerifyKey,
} from "./signatures.js";
export { buildEvent, depthAfter, draftEvent } from "./build.js";
export type { EventDraft, Parent } from "./build.js";
export { stripState } from "./stripped.js";
export type { StrippedStateEvent } from "./stripped.js";
export * from "./content.js";
