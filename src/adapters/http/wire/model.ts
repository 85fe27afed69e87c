/**
 * What an operation is over HTTP: requests and answers as they are written, before they become bytes. `index.ts` has
 * the functions over them:
 *
 * - `encodeRequest(name, request, context): readonly WireRequest[]`, the ways to ask, the best one first;
 * - `isUnknownEndpoint(answer): boolean`, whether a way is not known there, so that the next one is tried;
 * - `decodeAnswer(name, asked, answer): OperationResult<N>`;
 * - `decodeRequest(method, uri, content): DecodedRequest`;
 * - `encodeAnswer(name, endpoint, result, context): WireAnswer`.
 */
import type { JsonValue } from "../../../json/value.js";
import type { Endpoint } from "../../../federation/endpoints.js";
import type {
  OperationAnswer,
  OperationError,
  OperationName,
  OperationRequest,
  Operations,
} from "../../../ports/operations.js";

/** A request as it travels. */
export interface WireRequest {
  readonly method: Endpoint["method"];
  /** The path from `/_matrix/` on, with `?` and the query where there is one; percent-encoded, as it is signed. */
  readonly uri: string;
  /** The body; absent where there is none, which is not the same as an empty object. */
  readonly content?: JsonValue;
}

/** An answer as it travels. */
export interface WireAnswer {
  readonly status: number;
  /** The body, parsed without loss (`parseLax`); `undefined` where it is no JSON, or there is none. */
  readonly content: JsonValue | undefined;
}

/** What some bodies hold beside what the operation says. */
export interface WireContext {
  /** The server that writes. */
  readonly origin: string;
  /** In milliseconds since 1970. */
  readonly now: number;
}

/** A request as it was read, or what it is answered. */
export type DecodedRequest =
  | {
      readonly ok: true;
      readonly name: OperationName;
      /** What was decoded, for the operation of that name: nobody has looked at its fields. */
      readonly request: OperationRequest<OperationName>;
      readonly endpoint: Endpoint;
    }
  | {
      readonly ok: false;
      readonly error: OperationError;
      /** 404 for a path that there is not, 405 for a path with another method; else that of the error. */
      readonly status: number;
    };

/** What fills an endpoint. */
export interface Parts {
  /** By the names that the endpoint has in braces. Decoded. */
  readonly path: Readonly<Record<string, string>>;
  /** In their order; a name may occur more than once. Decoded. */
  readonly query?: readonly (readonly [name: string, value: string])[];
  readonly content?: JsonValue;
}

/** What arrived at an endpoint. */
export interface Received {
  readonly path: (name: string) => string;
  /** The first value of a name. */
  readonly query: (name: string) => string | undefined;
  readonly queries: (name: string) => readonly string[];
  readonly content: JsonValue | undefined;
}

/** How an operation is written to one of its endpoints, and read there. */
export interface WireForm<N extends OperationName> {
  /** `undefined`: this request cannot be asked so. */
  readonly write: (request: OperationRequest<N>, context: WireContext) => Parts | undefined;
  /** `undefined`: the body is not such as the endpoint takes. Nothing in it has to hold otherwise. */
  readonly read: (received: Received) => OperationRequest<N> | undefined;
  readonly writeAnswer: (answer: OperationAnswer<N>, context: WireContext) => JsonValue;
  /** `undefined`: this is no answer to it. */
  readonly readAnswer: (content: JsonValue, asked: WireRequest) => OperationAnswer<N> | undefined;
}

/** A form for each endpoint of each operation, in the order of `operationTable`. */
export type WireForms = {
  readonly [N in keyof Operations]: readonly [WireForm<N>, ...WireForm<N>[]];
};
