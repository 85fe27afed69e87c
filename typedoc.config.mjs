import { libraryEntries } from "./scripts/entries.mjs";

/** @type {import("typedoc").TypeDocOptions} */
export default {
  entryPoints: Object.values(libraryEntries()),
  tsconfig: "tsconfig.core.json",
  out: "docs/api",
  name: "roomdag",
  readme: "none",
  disableGit: true,
  sourceLinkTemplate: "../../{path}#L{line}",
  excludeInternal: true,
  excludePrivate: true,
  hideGenerator: true,
  validation: { notExported: false, invalidLink: true, notDocumented: false },
};
