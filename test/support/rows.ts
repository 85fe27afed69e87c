/** Everything that a storage holds, so that a test can say that nothing was changed. */
import type { Storage } from "../../src/ports/index.js";

export async function rowsOf(storage: Storage): Promise<unknown> {
  const rooms: unknown[] = [];
  for (const roomId of [...(await storage.roomIds())].sort()) {
    rooms.push({ roomId, opened: await storage.openRoom(roomId), changes: await storage.changesSince(roomId, 0) });
  }
  const queues: unknown[] = [];
  for (const destination of [...(await storage.outboxDestinations())].sort()) {
    queues.push({ destination, rows: await storage.readOutbox(destination, Number.MAX_SAFE_INTEGER) });
  }
  const outside = [...(await storage.readOutside())];
  return structuredClone({ rooms, queues, outside, intents: [...(await storage.readIntents())] });
}
