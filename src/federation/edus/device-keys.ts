/** Keys of devices and for cross-signing: their form, and whose they are. What they sign is for clients to check. */
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Device, DeviceList, SigningKeys } from "./edu.js";
import { Fields, wrong } from "./fields.js";
import type { Read } from "./fields.js";

/** The keys of a device, if there are any; they have to name it and its user. */
export function readDevice(value: JsonValue | undefined, userId: string, origin: string): Read<Device> {
  const fields = new Fields(value, "a device", origin);
  const deviceId = fields.name("device_id");
  const displayName = fields.optionalText("device_display_name");
  const keys = fields.optionalObject("keys");
  // `{}` says as much as nothing.
  const given = keys === undefined || Object.keys(keys).length === 0 ? undefined : keys;
  if (given !== undefined && !areDeviceKeys(given, userId, deviceId)) {
    fields.refuse("bad_format", "`keys` must be the keys of that device");
  }
  return fields.settle({
    deviceId,
    ...(displayName === undefined ? {} : { displayName }),
    ...(given === undefined ? {} : { keys: given }),
  });
}

function areDeviceKeys(keys: JsonObject, userId: string, deviceId: string): boolean {
  const algorithms = get(keys, "algorithms");
  return (
    get(keys, "user_id") === userId &&
    get(keys, "device_id") === deviceId &&
    isArray(algorithms) &&
    algorithms.every((one) => typeof one === "string") &&
    isTextMap(get(keys, "keys")) &&
    areSignatures(get(keys, "signatures"))
  );
}

/** A cross-signing key has exactly one public key, of its user and for its use. */
function isSigningKey(key: JsonObject, userId: string, usage: string): boolean {
  const usages = get(key, "usage");
  const keys = get(key, "keys");
  const signatures = get(key, "signatures");
  return (
    get(key, "user_id") === userId &&
    isArray(usages) &&
    usages.includes(usage) &&
    usages.every((one) => typeof one === "string") &&
    isTextMap(keys) &&
    Object.keys(keys).length === 1 &&
    (signatures === undefined || areSignatures(signatures))
  );
}

function isTextMap(value: JsonValue | undefined): value is JsonObject {
  return isObject(value) && Object.values(value).every((one) => typeof one === "string");
}

function areSignatures(value: JsonValue | undefined): boolean {
  return isObject(value) && Object.values(value).every((one) => isTextMap(one));
}

/** The cross-signing keys among an object's fields. */
export function readSigningKeys(fields: Fields, userId: string): SigningKeys {
  const masterKey = fields.optionalObject("master_key");
  const selfSigningKey = fields.optionalObject("self_signing_key");
  if (masterKey !== undefined && !isSigningKey(masterKey, userId, "master")) {
    fields.refuse("bad_format", "`master_key` must be a master key of that user");
  }
  if (selfSigningKey !== undefined && !isSigningKey(selfSigningKey, userId, "self_signing")) {
    fields.refuse("bad_format", "`self_signing_key` must be a self-signing key of that user");
  }
  return {
    userId,
    ...(masterKey === undefined ? {} : { masterKey }),
    ...(selfSigningKey === undefined ? {} : { selfSigningKey }),
  };
}

/**
 * A user's devices as their server gave them. One that does not hold is left out: it would keep the others from
 * being known for good. So are cross-signing keys that do not hold.
 */
export function readDeviceList(answer: JsonObject, userId: string, origin: string, entries: number): Read<DeviceList> {
  const fields = new Fields(answer, "the answer", origin);
  if (fields.user("user_id") !== userId) return wrong("bad_format", `the answer is not about ${userId}`);
  const streamId = fields.integer("stream_id");
  const devices = new Map<string, Device>();
  for (const value of fields.list("devices", entries)) {
    const device = readDevice(value, userId, origin);
    if (device.ok) devices.set(device.value.deviceId, device.value);
  }
  const keys = (["master_key", "self_signing_key"] as const).map((name): SigningKeys => {
    const one = new Fields({ [name]: get(answer, name) ?? null }, "the answer", origin);
    const read = readSigningKeys(one, userId);
    return one.refusal === undefined ? read : { userId };
  });
  return fields.settle({ ...keys[0], ...keys[1], userId, streamId, devices: Object.freeze([...devices.values()]) });
}
