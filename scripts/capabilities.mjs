/**
 * What the package is asked to do, as a fixed list: a test that shows one names its id in the test title.
 * `row` is the row of the feature inventory that the project was planned from.
 * @typedef {{ readonly row: number, readonly id: string, readonly sentence: string }} Capability
 * @typedef {{ readonly group: string, readonly capabilities: readonly Capability[] }} Group
 */

/**
 * @param {string} group
 * @param {readonly (readonly [row: number, id: string, sentence: string])[]} rows
 * @returns {Group}
 */
const define = (group, rows) =>
  Object.freeze({ group, capabilities: rows.map(([row, id, sentence]) => Object.freeze({ row, id, sentence })) });

/** @type {readonly Group[]} */
export const groups = Object.freeze([
  define("Encoding and identity", [
    [1, "canonical-json", "Canonical JSON encoder"],
    [2, "strict-json", "Strict PDU JSON parser (versions 6 and later)"],
    [3, "lenient-json", "Lenient, lossless PDU JSON parser (versions 1 to 5)"],
    [4, "base64", "Unpadded base64, both alphabets"],
    [5, "limits", "Size and count limits"],
    [6, "identifiers", "User, room, event and alias grammar"],
    [7, "server-name", "Server-name parser"],
    [8, "version-grammar", "Room-version grammar, with `I.`"],
  ]),
  define("Event core", [
    [9, "pdu-format", "PDU format check"],
    [10, "content-hash", "Content hash"],
    [11, "event-id", "Reference hash and event ID"],
    [12, "redaction", "Redaction algorithm"],
    [13, "signing", "Ed25519 JSON signing"],
    [14, "signature-check", "Signature checking"],
    [15, "required-signers", "Required-signer computation"],
    [16, "event-builder", "Event builder (prevs, depth, auth events, hash, signature)"],
    [17, "redaction-apply", "Redaction application, hold and recheck"],
    [18, "hash-mismatch", "Redacted copy on hash mismatch"],
  ]),
  define("Version modules", [
    [19, "versions-1-2", "Versions 1 and 2 (pair references, event IDs on the wire)"],
    [20, "versions-3-5", "Versions 3 to 5"],
    [21, "versions-6-9", "Versions 6 to 9"],
    [22, "version-10", "Version 10"],
    [23, "version-11", "Version 11"],
    [24, "version-12", "Version 12"],
    [25, "version-i1", "I.1"],
    [26, "registry", "Registry: immutable, unordered, extensible"],
  ]),
  define("Authorisation", [
    [27, "auth-selection", "Auth-events selection"],
    [28, "auth-create", "Create and federate rules"],
    [29, "auth-membership", "Membership transitions"],
    [30, "auth-restricted", "Restricted joins"],
    [31, "auth-knock", "Knock rules"],
    [32, "auth-third-party", "Third-party invites"],
    [33, "power-levels", "Power-level evaluation"],
    [34, "power-edits", "Power-level edit rules"],
    [35, "loose-levels", "String and float power levels"],
    [36, "creators", "Creators with infinite power"],
    [37, "receipt", "Receipt pipeline with verdicts"],
    [38, "rejection", "Rejection semantics"],
    [39, "soft-fail", "Soft failure"],
  ]),
  define("DAG and state", [
    [40, "graph", "Event graph with one root"],
    [41, "extremities", "Forward extremities"],
    [42, "depth", "Depth"],
    [43, "topological-order", "Topological ordering"],
    [44, "state-before-after", "State before and after an event"],
    [45, "resolution-v1", "State resolution v1"],
    [46, "resolution-v2", "State resolution v2"],
    [47, "resolution-v2.1", "State resolution v2.1"],
    [48, "auth-chain", "Auth chain, auth difference and conflicted subgraph"],
    [49, "partition-merge", "Partition and merge"],
    [50, "visibility-user", "History visibility for a user"],
    [51, "visibility-server", "History visibility for a server"],
    [52, "stripped-state", "Stripped state"],
    [53, "upgrade-plan", "Room upgrade plan"],
    [54, "room-type", "Room type"],
  ]),
  define("Federation operations", [
    [55, "operations", "Operations without a transport or an encoding"],
    [56, "invite", "Invite across servers"],
    [57, "join-handshake", "Join handshake"],
    [58, "partial-join", "Partial-state join, both sides"],
    [59, "knock-handshake", "Knock handshake"],
    [60, "leave-handshake", "Leave, and rejection of an invite"],
    [61, "resident-bypass", "No handshake where the server is in the room"],
    [62, "single-event", "Single events and auth chains"],
    [63, "state-at", "The state at an event"],
    [64, "backfill", "Backfill"],
    [65, "missing-events", "Missing events"],
    [66, "timestamp-to-event", "The event nearest to a time"],
    [67, "transactions", "Transactions, both sides"],
    [68, "fan-out", "To whom events go"],
    [69, "policy-hooks", "Hooks of the host's policy"],
    [70, "errors", "Errors and what they are over HTTP"],
    [71, "queries", "Queries for aliases and profiles"],
    [72, "third-party-exchange", "Third-party invites: binding and exchange"],
    [73, "room-lists", "Hierarchy, public rooms, openid, version"],
    [74, "identity", "Identity: whom a phone number or handle invites"],
  ]),
  define("Trust and moderation", [
    [75, "key-publication", "Publication of keys"],
    [76, "key-validity", "Key ring and the validity of keys"],
    [77, "notary", "Notary query and answer"],
    [78, "request-auth", "Signed requests"],
    [79, "discovery", "Server discovery"],
    [80, "server-acl", "Server ACL"],
    [81, "policy-server", "Policy server"],
    [82, "edus", "EDUs"],
    [83, "device-lists", "Gaps in device lists"],
  ]),
  define("Content (I.1)", [
    [84, "text-block", "`m.text` block and choice of representation"],
    [85, "message", "`m.message` validation"],
    [86, "fallback", "Fallback of unknown types"],
    [87, "deprecated-types", "Guard against deprecated types"],
  ]),
]);

/** Every capability by its id. @type {ReadonlyMap<string, Capability>} */
export const capabilities = new Map(
  groups.flatMap((group) => group.capabilities.map((capability) => [capability.id, capability])),
);

/** Columns of the table, in the order of the page; the order says nothing about the versions. */
export const roomVersions = Object.freeze(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "I.1"]);
