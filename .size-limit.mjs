import { libraryEntries } from "./scripts/entries.mjs";

/** Minified and compressed, dependencies included. A budget is raised on purpose or not at all. */
const budgets = {
  index: "60 kB",
  "json/index": "4 kB",
  "versions/v12": "40 kB",
};

const built = libraryEntries();

export default Object.entries(budgets)
  .filter(([name]) => name in built)
  .map(([name, limit]) => ({ name, path: `dist/${name}.js`, limit }));
