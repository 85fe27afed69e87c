/** The optional module for EDUs. */
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import { domainOf } from "../../ids/grammar.js";
import { answer, fail } from "../context.js";
import type { EduHandler, ToDeviceStore } from "./handler.js";
import { Inbound } from "./inbound.js";
import { eduLimitsOf } from "./limits.js";
import type { EduLimits } from "./limits.js";
import type { EduModule, Edus } from "./module.js";
import { Queues } from "./queues.js";
import { deviceJson, senderOf } from "./sender.js";
import { createToDeviceStore } from "./to-device-store.js";

export interface EdusOptions {
  readonly handler: EduHandler;
  /** Where messages to devices are remembered by their ids; by default in memory. */
  readonly store?: ToDeviceStore;
  readonly limits?: Partial<EduLimits>;
}

/**
 * What a server needs to exchange typing, receipts, presence, device lists and messages to devices: give it to
 * `createServer` as `edus`. A server without it ignores what others send of that, and answers for nobody's devices.
 *
 * @throws UsageError for a limit that is no positive integer.
 */
export function createEdus({ handler, store, limits: changes }: EdusOptions): Edus {
  const limits = eduLimitsOf(changes);
  return Object.freeze({
    attach: (context): EduModule => {
      const queues = new Queues(context, limits);
      const inbound = new Inbound(context, handler, store ?? createToDeviceStore(), limits);
      return Object.freeze({
        limits,
        queues,
        sender: senderOf(context, queues, inbound.deviceLists, limits),
        receive: (origin, edus) => inbound.receive(origin, edus),
        serveDevices: (_origin, request, cancel) => serveDevices(handler, context.host.server, request, cancel),
        start: async () => {
          inbound.deviceLists.start();
          await queues.load();
        },
        stop: () => {
          inbound.stop();
        },
      } satisfies EduModule);
    },
  } satisfies Edus);
}

async function serveDevices(
  handler: EduHandler,
  server: string,
  { userId }: OperationRequest<"user_devices">,
  cancel: Cancel | undefined,
): Promise<OperationResult<"user_devices">> {
  if (domainOf(userId) !== server) return fail("invalid_param", `${userId} is not of ${server}`);
  const list = await handler.devicesOf?.(userId, cancel);
  if (list === undefined) return fail("not_found", `there is no user ${userId}`);
  const { streamId, devices, masterKey, selfSigningKey } = list;
  return answer<"user_devices">({
    userId,
    streamId,
    devices: devices.map(deviceJson),
    ...(masterKey === undefined ? {} : { masterKey }),
    ...(selfSigningKey === undefined ? {} : { selfSigningKey }),
  });
}
