/**
 * Rooms at work: receiving, judging, storing and sending events of one server, over ports that the host injects.
 *
 * @module
 */
export { auditStorage } from "./audit.js";
export type { AuditFinding, AuditOptions, AuditReport } from "./audit.js";
export { CancelledError } from "../errors.js";
export { Canceller, withDeadline } from "./cancel.js";
export type { Control, Patch } from "./control.js";
export type { CreateRoomOptions, CreationPlan, InitialState } from "./create.js";
export { planCreation } from "./create.js";
export type { Host, HostOptions } from "./host.js";
export { hostOf } from "./host.js";
export { defaultLimits, limitsOf } from "./limits.js";
export type { Limits } from "./limits.js";
export { recordingOf } from "./recording.js";
export { refusalOf } from "./held.js";
export type { Held } from "./held.js";
export { Room } from "./room.js";
export { MERGE_EVENT } from "./room/loop.js";
export type {
  EmitOptions,
  EventView,
  JoinedState,
  LocalEvent,
  ReceiveOptions,
  RoomUpdate,
  StatesAt,
} from "./room/types.js";
export { Rooms } from "./rooms.js";
export type { Additions } from "./workspace.js";
export type { Snapshot } from "./snapshot.js";
export { planUpgrade } from "./upgrade.js";
export type { StateReader, UpgradeOptions, UpgradePlan } from "./upgrade.js";
export { membershipOf, StateView } from "./state-view.js";
export type { Member, Membership } from "./state-view.js";
export {
  HISTORY_VISIBILITIES,
  historyVisibilityOf,
  isVisibleToServer,
  isVisibleToUser,
  visibleEvents,
} from "./visibility.js";
export type { EventSight, HistoryVisibility, Onlooker, Presence, Sight, StatesAround } from "./visibility.js";
