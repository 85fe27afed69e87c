/**
 * A server that shares rooms: what local users do, the operations between servers, and delivery.
 *
 * @module
 */
export { createServer, Server } from "./server.js";
export type {
  Acting,
  Joining,
  JoiningRoom,
  Moderating,
  RoomOfUser,
  Sending,
  ServerOptions,
  Upgrading,
} from "./server.js";
export type { IdentifierBinding, KeptInvite } from "./third-party.js";
export { checkServerKeys, createKeyRing, defaultKeyLimits, keyFromSeed, serverKeys } from "./keys/index.js";
export { isUsableForRequests } from "./keys/index.js";
export type {
  CheckServerKeysOptions,
  KeyLimits,
  KeyPublisher,
  KeyRing,
  KeyRingOptions,
  KeySource,
  KeyStore,
  Notary,
  OldKey,
  OwnKey,
  OwnKeys,
  Publication,
  ServerKeys,
  StoredKey,
  StoredKeys,
} from "./keys/index.js";
export { aclProtectedOperations, isServerAllowed, parseServerAcl } from "./acl.js";
export type { ServerAcl, ServerGlob, ServerPatterns } from "./acl.js";
export {
  ALL_DEVICES,
  createEdus,
  createToDeviceStore,
  defaultEduLimits,
  MAX_MESSAGE_ID,
  readEdu,
} from "./edus/index.js";
export type {
  Destinations,
  Device,
  DeviceList,
  DeviceListChange,
  DeviceMessage,
  DeviceUpdate,
  Edu,
  EduBatch,
  EduContext,
  EduHandler,
  EduLimits,
  EduModule,
  EduQueues,
  EduRefusal,
  Edus,
  EduSender,
  EdusOptions,
  Presence,
  ReadReceipt,
  SigningKeys,
  ToDevice,
  ToDeviceMemory,
  ToDeviceStore,
  Typing,
} from "./edus/index.js";
export { errorsOf, operationTable } from "./endpoints.js";
export type { DraftApi, Endpoint, OperationEntry } from "./endpoints.js";
export { errorForms, fromMatrixError, toMatrixError } from "./errors.js";
export type { ErrorForm, MatrixError } from "./errors.js";
export type { Profile, ResolvedAlias, Software } from "./queries/directory.js";
export type { Exploring, Hierarchy, SpaceChild } from "./queries/hierarchy.js";
export type { PublicRooms, PublicRoomsQuery } from "./queries/public-rooms.js";
export type { RoomSummary } from "./queries/summary.js";
export { formatXMatrix, parseXMatrix, requestSignedBytes, signRequest, verifyRequest } from "./request-auth.js";
export { MAX_X_MATRIX_HEADERS, MAX_X_MATRIX_LENGTH, MAX_X_MATRIX_PARAMETERS } from "./request-auth.js";
export type {
  ParsedXMatrix,
  ReceivedRequest,
  RequestOrigin,
  RequestRefusal,
  RequestVerifier,
  SignedRequest,
  XMatrix,
} from "./request-auth.js";
export { advanceDiscovery, MAX_ADDRESSES, startDiscovery } from "./discovery/machine.js";
export type {
  ConnectStep,
  ConnectTarget,
  Discovery,
  DiscoveryAnswer,
  DiscoveryStep,
  ExpectedCertificate,
  FetchWellKnownStep,
  GiveUpStep,
  LookupAddressesStep,
  LookupSrvStep,
  SrvAnswer,
} from "./discovery/machine.js";
export { MAX_SRV_TARGETS, orderSrvRecords } from "./discovery/srv.js";
export type { SrvRecord, SrvTarget } from "./discovery/srv.js";
export {
  MAX_WELL_KNOWN_BYTES,
  MAX_WELL_KNOWN_REDIRECTS,
  readWellKnown,
  WELL_KNOWN_DEFAULT_LIFETIME,
  WELL_KNOWN_ERROR_LIFETIME,
  WELL_KNOWN_MAX_LIFETIME,
  wellKnownLifetime,
} from "./discovery/well-known.js";
export type { HeaderFields, WellKnown, WellKnownResponse } from "./discovery/well-known.js";
export type { EventAtTime, Moment, Seeking } from "./timestamp.js";
