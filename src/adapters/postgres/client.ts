/** The part of a pool that is used, and statements and transactions over it. */
import { encodeUnpadded } from "../../crypto/base64.js";
import { sha256 } from "../../crypto/hash.js";
import type { SqlRow } from "../sql/row.js";

export type PgValue = string | number | null | readonly (string | number | null)[];

/** A connection of pg's `Pool`. */
export interface PgClient {
  query(query: { text: string; values?: unknown[]; name?: string }): Promise<PgResult>;
  /** With `true` the connection is closed and not given out again. */
  release(destroy?: boolean): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
}

export interface PgResult {
  readonly rows: unknown[];
  readonly rowCount: number | null;
}

/** A `Pool` of pg. */
export interface PgPool {
  connect(): Promise<PgClient>;
}

/** Statements on one connection. */
export interface Statements {
  readonly all: (text: string, ...values: readonly PgValue[]) => Promise<readonly SqlRow[]>;
  readonly get: (text: string, ...values: readonly PgValue[]) => Promise<SqlRow | undefined>;
  /** How many rows were changed. */
  readonly run: (text: string, ...values: readonly PgValue[]) => Promise<number>;
}

export interface Sql extends Statements {
  /** All reads of `body` see one moment. */
  readonly reading: <T>(body: (statements: Statements) => Promise<T>) => Promise<T>;
  /** Everything that `body` writes is durable when this resolves, or nothing was written and it rejects. */
  readonly writing: <T>(body: (statements: Statements) => Promise<T>) => Promise<T>;
}

/** Two transactions were in each other's way, and one was given up: it is begun anew. */
const AGAIN: readonly unknown[] = ["40001", "40P01"];
const ATTEMPTS = 10;

export function sqlOver(pool: PgPool, { prepare }: { readonly prepare: boolean }): Sql {
  const names = new Map<string, string>();

  /** The same for the same text alone: storages over several schemas may share a connection. */
  function nameOf(text: string): string {
    let name = names.get(text);
    if (name === undefined) {
      names.set(text, (name = `roomdag ${encodeUnpadded(sha256(text), "url-safe")}`));
    }
    return name;
  }

  function statementsOn(client: PgClient): Statements {
    const query = (text: string, values: readonly PgValue[]): Promise<PgResult> =>
      client.query({ text, values: [...values], ...(prepare ? { name: nameOf(text) } : {}) });
    return {
      all: async (text, ...values) => rowsOf(await query(text, values)),
      get: async (text, ...values) => rowsOf(await query(text, values))[0],
      run: async (text, ...values) => (await query(text, values)).rowCount ?? 0,
    };
  }

  async function attempt<T>(body: (client: PgClient) => Promise<T>): Promise<T> {
    for (let number = 1; ; number++) {
      try {
        return await connected(pool, body);
      } catch (error) {
        if (number === ATTEMPTS || !isAgain(error)) throw error;
      }
    }
  }

  function transaction<T>(begin: string, body: (statements: Statements) => Promise<T>): Promise<T> {
    return attempt(async (client) => {
      await client.query({ text: begin });
      try {
        const result = await body(statementsOn(client));
        await client.query({ text: "COMMIT" });
        return result;
      } catch (error) {
        // On a connection that was lost this fails too; what went wrong before says more.
        await client.query({ text: "ROLLBACK" }).catch(() => undefined);
        throw error;
      }
    });
  }

  return {
    all: (text, ...values) => attempt((client) => statementsOn(client).all(text, ...values)),
    get: (text, ...values) => attempt((client) => statementsOn(client).get(text, ...values)),
    run: (text, ...values) => attempt((client) => statementsOn(client).run(text, ...values)),
    reading: (body) => transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", body),
    // Whoever waited for a row sees what was committed meanwhile: the first statement of a commit compares revisions.
    writing: (body) => transaction("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", body),
  };
}

async function connected<T>(pool: PgPool, body: (client: PgClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  // What is under way rejects when the connection is lost; an event that nobody listens to would end the process.
  const heard = (): void => undefined;
  client.on?.("error", heard);
  let destroy = true;
  try {
    const result = await body(client);
    destroy = false;
    return result;
  } catch (error) {
    destroy = !isAgain(error);
    throw error;
  } finally {
    client.off?.("error", heard);
    // After an error nobody knows how the connection is left, and errors are rare.
    client.release(destroy);
  }
}

function isAgain(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && AGAIN.includes(error.code);
}

function rowsOf({ rows }: PgResult): readonly SqlRow[] {
  return rows as readonly SqlRow[];
}
