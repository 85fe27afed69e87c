/**
 * What a host injects: storage, transport, keys, clock, randomness, policy, identity, a directory, an observer. Types
 * only.
 *
 * @module
 */
export type { Awaitable, Cancel } from "./cancel.js";
export type { Clock } from "./clock.js";
export type { AliasTarget, Directory, RoomNetwork } from "./directory.js";
export type { Identity, ThirdPartyIdentifier } from "./identity.js";
export type { KeyRequest, Keys, OwnSignature, VerifyRequest } from "./keys.js";
export type { LostState, Metric, Observer, StateCause, StateChange, StateDifference } from "./observer.js";
export type {
  EventTemplate,
  HandedEvent,
  OperationAnswer,
  OperationError,
  OperationErrorCode,
  OperationName,
  OperationRequest,
  OperationResult,
  Operations,
} from "./operations.js";
export type {
  EventAttempt,
  InviteAttempt,
  InviteBlocked,
  JoinAttempt,
  LimitExceeded,
  Policy,
  PolicyRefusal,
  RecommendationAttempt,
} from "./policy.js";
export type { Random } from "./random.js";
export type {
  Batch,
  CommitResult,
  Intent,
  OpenedRoom,
  OutboxEntry,
  OutboxRow,
  OutsideMembership,
  PendingEvent,
  RoomChanges,
  PartialState,
  RoomRecord,
  StateEntry,
  StateGroup,
  Storage,
  StoredEvent,
  TimelineRange,
  TransactionAnswer,
  Waiting,
} from "./storage.js";
export type { Receiver, Transport } from "./transport.js";
export type { Receipt, StoredVerdict, Verdict, VerdictBasis } from "./verdict.js";
