/** The store of a server that does not run, for commands that read it. */
import { resolve } from "node:path";
import type { Storage } from "../../ports/storage.js";
import { openDataFolder, serverOf } from "./data-folder.js";
import { openDatabase } from "./database.js";
import { databaseOf } from "./settings.js";

/** Where a store is. */
export interface StoreLocation {
  readonly data: string;
  /** As `serve` was told; `undefined` for SQLite in the data folder. */
  readonly database: string | undefined;
}

/**
 * Opens a store, and closes it when `act` is done. Nobody writes to it meanwhile: a server that runs answers the same
 * on its own API. @throws Failure if it cannot be opened.
 */
export async function withStore<T>(location: StoreLocation, act: (storage: Storage) => Promise<T>): Promise<T> {
  const data = resolve(location.data);
  const folder = await openDataFolder(data, await serverOf(data));
  try {
    const url = databaseOf(location.database, data);
    const database = await openDatabase(url, { folder: data, onFault: () => undefined });
    try {
      return await act(database.storage);
    } finally {
      await database.close();
    }
  } finally {
    await folder.release();
  }
}
