import { libraryEntries } from "./scripts/entries.mjs";

/**
 * Minified and compressed, dependencies included: what a page pays for an import.
 * A budget is raised on purpose or not at all.
 * @type {readonly { entry: string, limit: string, import?: string }[]}
 */
const budgets = [
  { entry: "index", limit: "34 kB" },
  { entry: "json/index", limit: "7 kB" },
  { entry: "json/index", import: "{ encodeCanonical }", limit: "3 kB" },
  { entry: "versions/v12", limit: "22.5 kB" },
];

const built = libraryEntries();

export default budgets
  .filter(({ entry }) => entry in built)
  .map(({ entry, ...budget }) => ({
    name: [entry, budget.import].filter(Boolean).join(" "),
    path: `dist/${entry}.js`,
    ...budget,
    /** @param {object} config */
    modifyEsbuildConfig: (config) => ({ ...config, logLevel: "error" }),
  }));
