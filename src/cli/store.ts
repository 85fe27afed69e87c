/** Rooms of a server's store, for commands that look at rooms. */
import type { JsonObject } from "../json/value.js";
import { Failure } from "./failure.js";
import type { StoreLocation } from "./serve/open-store.js";

/** A store on the command line. */
export interface StoreArguments extends StoreLocation {
  /** One room; all of them if `undefined`. */
  readonly roomId: string | undefined;
}

/** @throws Failure where flags and files do not go together. */
export function storeArguments(
  { store, database, room }: Readonly<Record<"store" | "database" | "room", string | undefined>>,
  files: readonly string[],
): StoreArguments | undefined {
  if (store !== undefined && files.length > 0) throw new Failure("it is either files or --store DIR, not both");
  if (store !== undefined) return { data: store, database, roomId: room };
  if (database !== undefined) throw new Failure("--database belongs to --store DIR");
  return undefined;
}

/**
 * Shows each room of a store, one after the other. Nobody writes to it meanwhile.
 * @throws Failure if the store cannot be opened, or has no such room.
 */
export async function eachStored(
  options: StoreArguments,
  act: (roomId: string, recording: JsonObject) => Promise<void>,
): Promise<void> {
  // What a server stands on is loaded where there is a store.
  const [{ recordingOf }, { withStore }] = await Promise.all([
    import("../engine/recording.js"),
    import("./serve/open-store.js"),
  ]);
  await withStore(options, async (storage) => {
    const roomIds = options.roomId === undefined ? await storage.roomIds() : [options.roomId];
    for (const roomId of roomIds) {
      const recording = await recordingOf(storage, roomId);
      if (recording === undefined) throw new Failure(`${options.data} holds no room ${roomId}`);
      await act(roomId, recording);
    }
  });
}
