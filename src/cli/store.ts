/** Rooms of a server's store, for commands that look at rooms. */
import { resolve } from "node:path";
import type { JsonObject } from "../json/value.js";
import { Failure } from "./failure.js";

/** A store on the command line. */
export interface StoreArguments {
  readonly data: string;
  /** As `serve` was told; `undefined` for SQLite in the data folder. */
  readonly database: string | undefined;
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
  const [{ recordingOf }, { openDataFolder, serverOf }, { openDatabase }, { databaseOf }] = await Promise.all([
    import("../engine/recording.js"),
    import("./serve/data-folder.js"),
    import("./serve/database.js"),
    import("./serve/settings.js"),
  ]);
  const data = resolve(options.data);
  const folder = await openDataFolder(data, await serverOf(data));
  try {
    const database = await openDatabase(databaseOf(options.database, data), { folder: data, onFault: () => undefined });
    try {
      const { storage } = database;
      const roomIds = options.roomId === undefined ? await storage.roomIds() : [options.roomId];
      for (const roomId of roomIds) {
        const recording = await recordingOf(storage, roomId);
        if (recording === undefined) throw new Failure(`${options.data} holds no room ${roomId}`);
        await act(roomId, recording);
      }
    } finally {
      await database.close();
    }
  } finally {
    await folder.release();
  }
}
