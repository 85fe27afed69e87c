/**
 * A host of the library, put together: keys, database, network, the server over them, and the local API. This is all
 * that it takes; what each part does is in the file that it comes from.
 */
import { defaultHttpClientLimits } from "../../adapters/http/index.js";
import { nodeSha256, createNodeSigner } from "../../adapters/node-crypto/index.js";
import { createSystemClock, createSystemRandom } from "../../adapters/system/index.js";
import { useSha256 } from "../../crypto/index.js";
import { createKeyRing, createServer } from "../../federation/index.js";
import type { Server } from "../../federation/index.js";
import { createApi } from "./api/listener.js";
import { apiToken, files, instanceOf, openDataFolder } from "./data-folder.js";
import { openDatabase } from "./database.js";
import { signingKeys } from "./key-file.js";
import type { Log } from "./log.js";
import { createWatch } from "./metrics.js";
import { listenForApi } from "./network.js";
import { openNetwork } from "./ports.js";
import { createPrivate, messageOf } from "./private-file.js";
import type { Settings } from "./settings.js";
import { certificateFor } from "./tls.js";

export interface RunningHost {
  readonly server: Server;
  /** Where the API is: `http://127.0.0.1:PORT`, or the path of a socket. */
  readonly api: string;
  /** Takes no more requests, finishes what is under way, and closes the database. */
  stop(): Promise<void>;
}

/** Milliseconds that requests under way have to finish when the server stops. */
const GRACE = 10_000;

/** @throws Failure for whatever the person who started it can do something about. */
export async function startHost(settings: Settings, log: Log, version: string): Promise<RunningHost> {
  const { name } = settings;
  useSha256(nodeSha256);
  // What was opened is closed in reverse, also when something later cannot be opened.
  const closers: (() => Promise<unknown>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) {
      await close().catch((error: unknown) => log.error("stop.fault", { error: messageOf(error) }));
    }
  };
  try {
    const folder = await openDataFolder(settings.data, name);
    closers.push(() => folder.release());
    const [firstKey, ...otherKeys] = await signingKeys(
      settings.signingKey ?? folder.file(files.signingKey),
      settings.signingKey === undefined,
    );
    const database = await openDatabase(settings.database, {
      folder: folder.path,
      onFault: (error) => log.warn("database.fault", { error: messageOf(error) }),
    });
    closers.push(() => database.close());
    const clock = createSystemClock();
    const random = createSystemRandom();
    const watch = createWatch(log);
    const network = await openNetwork({
      settings,
      tls: await certificateFor(settings, folder, log),
      keys: () => keys,
      clock,
      random,
      observer: watch.observer,
    });
    const { transport } = network;
    closers.push(() => network.close(GRACE));
    const keys = createKeyRing({
      server: name,
      own: { current: [createNodeSigner(firstKey), ...otherKeys.map((key) => createNodeSigner(key))] },
      transport,
      clock,
      verify: network.verify,
      observer: watch.observer,
      notaries: settings.notary.map((server) => ({ server })),
      ...(database.keys === undefined ? {} : { store: database.keys }),
    });
    const server = createServer({
      server: name,
      storage: database.storage,
      transport,
      keys,
      publishes: keys,
      clock,
      random,
      observer: watch.observer,
      instance: await instanceOf(folder),
      // The client over HTTP ends other requests sooner, and lets the state of a large room take its time.
      limits: { requestTime: defaultHttpClientLimits.stateTime },
      directory: { software: { name: "roomdag", version } },
    });
    const federation = await network.listen();
    // Joins that a restart interrupted are tried once before this resolves, with servers that may be away: nobody here
    // waits for them. What fails of it is a fault of the process.
    void server.start();
    closers.push(() => {
      server.stop();
      return Promise.resolve();
    });
    const startedAt = clock.now();
    const api = createApi({
      token: await apiToken(folder),
      log,
      host: {
        server,
        isShared: database.isShared,
        metrics: () => watch.metrics(),
        health: () => ({
          server: name,
          version,
          database: database.driver,
          upMs: clock.now() - startedAt,
          isDelivering: server.isDelivering,
        }),
      },
    });
    const address = await listenForApi(api.http, settings.api);
    closers.push(() => api.stop(GRACE));
    await createPrivate(folder.file(files.address), `${address}\n`);
    log.info("started", {
      server: name,
      version,
      federation,
      api: address,
      database: database.driver,
      data: folder.path,
    });
    return { server, api: address, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
