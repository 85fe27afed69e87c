/**
 * The graphs of a room: interned auth events, states that share structure, forward extremities, auth chains.
 *
 * @module
 */
export { authChain } from "./auth-chain.js";
export type { AuthChain } from "./auth-chain.js";
export { EventGraph } from "./event-graph.js";
export type { GraphEvent, Standing } from "./event-graph.js";
export { RoomIndex, topologicalOrder } from "./room-index.js";
export { ABSENT, StateMap } from "./state-map.js";
