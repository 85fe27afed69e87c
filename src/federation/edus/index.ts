/** Typing, receipts, presence, device lists and messages to devices: an optional module. */
export { createEdus } from "./create.js";
export type { EdusOptions } from "./create.js";
export { ALL_DEVICES } from "./edu.js";
export type {
  Device,
  DeviceList,
  DeviceMessage,
  DeviceUpdate,
  Edu,
  EduRefusal,
  Presence,
  ReadReceipt,
  SigningKeys,
  ToDevice,
  Typing,
} from "./edu.js";
export type { DeviceListChange, EduHandler, ToDeviceStore } from "./handler.js";
export { defaultEduLimits } from "./limits.js";
export type { EduLimits } from "./limits.js";
export type { Destinations, EduBatch, EduContext, EduModule, EduQueues, Edus, EduSender } from "./module.js";
export { MAX_MESSAGE_ID, readEdu } from "./read.js";
export { createToDeviceStore } from "./to-device-store.js";
export type { ToDeviceMemory } from "./to-device-store.js";
