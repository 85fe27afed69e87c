/**
 * For tests of anything that speaks the Matrix room protocol: generated rooms, forks and events, hostile
 * ones too, for every room version, and laws and suites that judge any implementation under any test runner.
 * Needs the optional peer dependency fast-check.
 *
 * @module
 */
export { TEST_KEY_ID, testKeyLookup, testKeyOf } from "./keys.js";
export { testUsers } from "./interpret.js";
export type { TestEvent, TestRoom } from "./interpret.js";
export type { Action, Attempt, Opening, PowerEdit, RoomScript, Step } from "./script.js";
export { arbDelivery, arbFork, arbRoom, citedBy, eventWithId, resolutionRequest } from "./room.js";
export type { ArbRoomOptions, ResolutionRequest, TestFork } from "./room.js";
export { arbEvent } from "./event.js";
export type { ArbEventOptions } from "./event.js";
export { arbHostileEvent } from "./hostile.js";
export type { HostileEvent } from "./hostile.js";
export { LawViolation } from "./laws.js";
export type { Law, LawOptions } from "./laws.js";
export { resolutionLaws } from "./resolution-laws.js";
export type { Resolve } from "./resolution-laws.js";
export { referenceResolve } from "./reference.js";
export { authLaws } from "./auth-laws.js";
export type { Check } from "./auth-laws.js";
export type { AuthRequest } from "./stage.js";
export { canonicalLaws } from "./canonical-laws.js";
export type { Encode } from "./canonical-laws.js";
export { PortViolation } from "./suites/check.js";
export type { PortCheck } from "./suites/check.js";
export { clockSuite } from "./suites/clock.js";
export type { ClockHost, TestedClock } from "./suites/clock.js";
export { directorySuite } from "./suites/directory.js";
export type { DirectoryHost } from "./suites/directory.js";
export { identitySuite } from "./suites/identity.js";
export type { IdentityHost } from "./suites/identity.js";
export { keyStoreSuite } from "./suites/key-store.js";
export type { KeyStoreHost } from "./suites/key-store.js";
export { keysSuite } from "./suites/keys.js";
export type { KeysHost, TestedKeys } from "./suites/keys.js";
export { observerSuite } from "./suites/observer.js";
export type { ObserverHost } from "./suites/observer.js";
export { policySuite } from "./suites/policy.js";
export type { PolicyAttempts, PolicyHost } from "./suites/policy.js";
export { randomSuite } from "./suites/random.js";
export type { RandomHost } from "./suites/random.js";
export { storageSuite } from "./suites/storage.js";
export type { StorageHost } from "./suites/storage.js";
export { formatCommand, formatReport, formatScript, arbScript, runSimulation, simulate } from "./simulation/index.js";
export type {
  ArbScriptOptions,
  CampaignFailure,
  CampaignOptions,
  CampaignReport,
  ForgedKind,
  HostileCommand,
  LevelKey,
  Sabotage,
  SimulationCommand,
  SimulationOptions,
  SimulationReport,
  SimulationScript,
  Trace,
  TraceEntry,
  TraceOptions,
  UserCommand,
  WorldCommand,
} from "./simulation/index.js";
export { toDeviceStoreSuite } from "./suites/to-device-store.js";
export type { ToDeviceStoreHost } from "./suites/to-device-store.js";
export { transportSuite } from "./suites/transport.js";
export type { TransportEnd, TransportHost, TransportNetwork } from "./suites/transport.js";
