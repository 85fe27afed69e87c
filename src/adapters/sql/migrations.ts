/** How far a database has come of what brings it to the last version. */
import { UsageError } from "../../errors.js";
import { integerOf } from "./row.js";
import type { SqlRow } from "./row.js";

/**
 * The statements that a database still lacks, by the row of its `schema_version` if there is one; `undefined` when it
 * is at the last version.
 * @throws UsageError for a database that a later release has written to.
 */
export function lackingSteps(
  row: SqlRow | undefined,
  migrations: readonly (readonly string[])[],
): readonly string[] | undefined {
  const version = row === undefined ? 0 : integerOf(row, "version");
  if (version > migrations.length) {
    throw new UsageError(
      `the database has schema version ${version}, and this release of roomdag knows those up to ` +
        `${migrations.length}: a later release wrote to it, so open it with that one`,
    );
  }
  return version === migrations.length ? undefined : migrations.slice(version).flat();
}
