/** What a deterministic simulation of servers stands on: time, randomness, network, storage, keys, a trace. */
export { seededRandom, randomPort } from "./random.js";
export type { SeededRandom } from "./random.js";
export { VirtualTime } from "./time.js";
export type { ClockLie, RunOptions, RunReport, Task, VirtualClock } from "./time.js";
export { Trace } from "./trace.js";
export type { TraceEntry, TraceOptions } from "./trace.js";
export { VirtualNetwork, receiverOf } from "./network.js";
export type {
  Interceptor,
  LinkConditions,
  NetworkFault,
  NetworkOptions,
  NetworkStatistics,
  OperationHandlers,
  QueueStatistics,
} from "./network.js";
export { copyMessage } from "./message.js";
export { Lifeline, never } from "./lifeline.js";
export { aroundStorage } from "./around-storage.js";
export type { AroundCall, StorageMethod } from "./around-storage.js";
export { crashable, crashAtCommit, crashAtWrite, slowStorage } from "./storage.js";
export type { CrashPlan, CrashableOptions, CrashableStorage, Generation, WriteBoundary } from "./storage.js";
export { KEYED_HASH_KEY_ID, createKeyRing, ed25519Keys, keyedHashKeys, wrongSignatures } from "./keys.js";
export type { KeyRing } from "./keys.js";
export { HOSTILE_SERVER, castOf, formatScript, MOST_SERVERS, MOST_USERS } from "./script.js";
export type { CastServer, SimulationScript } from "./script.js";
export { formatCommand } from "./commands.js";
export type { ForgedKind, HostileCommand, LevelKey, SimulationCommand, UserCommand, WorldCommand } from "./commands.js";
export { arbScript } from "./arbitrary.js";
export type { ArbScriptOptions } from "./arbitrary.js";
export { formatReport, runSimulation } from "./run.js";
export type { SimulationOptions, SimulationReport } from "./run.js";
export type { Sabotage } from "./world.js";
export { simulate } from "./campaign.js";
export type { CampaignFailure, CampaignOptions, CampaignReport } from "./campaign.js";
