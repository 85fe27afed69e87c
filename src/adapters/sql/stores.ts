/**
 * The stores of a key ring and of messages to devices, by their shapes: adapters know nothing of federation, whose
 * `KeyStore` and `ToDeviceStore` these are.
 */
import { UsageError } from "../../errors.js";
import { domainOf } from "../../ids/grammar.js";
import type { JsonObject } from "../../json/value.js";
import type { Awaitable } from "../../ports/cancel.js";

/** What a key ring knows of a server: `StoredKeys` of roomdag/federation. */
export interface ServerKeys {
  readonly server: string;
  readonly validUntilTs: number;
  readonly keys: readonly {
    readonly keyId: string;
    readonly key: string;
    readonly from: "server" | "notary";
    readonly validUntilTs?: number;
    readonly fetchedTs?: number;
    readonly expiredTs?: number;
  }[];
  readonly answer?: { readonly json: JsonObject; readonly validUntilTs: number; readonly fetchedTs: number };
}

/** A `KeyStore` of roomdag/federation. */
export interface ServerKeyStore {
  get(server: string): Awaitable<ServerKeys | undefined>;
  put(keys: ServerKeys): Awaitable<void>;
}

/** A `ToDeviceStore` of roomdag/federation. */
export interface TakenMessageStore {
  has(sender: string, messageId: string): Awaitable<boolean>;
  add(sender: string, messageId: string): Awaitable<void>;
}

/** How long messages to devices are remembered as taken. */
export interface TakenMessages {
  /** Messages of one server that are remembered, the last ones. Default 2,000. */
  readonly perServer?: number;
  /** Days after which each is forgotten, by the database's clock. Default 30. */
  readonly days?: number;
}

export interface TakenBounds {
  readonly perServer: number;
  readonly seconds: number;
}

export function takenBounds({ perServer = 2_000, days = 30 }: TakenMessages = {}): TakenBounds {
  if (!(perServer >= 1 && days > 0)) throw new UsageError("remember one message at least, for some time");
  return { perServer: Math.trunc(perServer), seconds: Math.ceil(days * 86_400) };
}

/** Who is held to {@link TakenMessages.perServer}. */
export function serverOf(sender: string): string {
  return domainOf(sender) ?? "";
}
