/** Colours, once for the page, its canvas and pictures. Contrast of text is at least 4.5 to 1 in both. */
export interface Theme {
  readonly ground: string;
  readonly panel: string;
  readonly card: string;
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly edge: string;
  readonly accent: string;
  readonly tint: string;
  readonly good: string;
  readonly warn: string;
  readonly bad: string;
  /** For servers, in the order in which the room meets them. */
  readonly servers: readonly string[];
}

export const light: Theme = {
  ground: "#f6f5f1",
  panel: "#fdfcfa",
  card: "#ffffff",
  ink: "#22262b",
  quiet: "#5c646d",
  line: "#dcd9d1",
  edge: "#a9a79f",
  accent: "#1f5fa8",
  tint: "#e6eef8",
  good: "#2c7048",
  warn: "#8a5800",
  bad: "#b3261e",
  servers: ["#3e6fb0", "#2f8068", "#8a5fa8", "#b0652f", "#a8456b", "#5f7a2c", "#4a7f93", "#7a6a4a"],
};

export const dark: Theme = {
  ground: "#14171a",
  panel: "#1a1e22",
  card: "#22272d",
  ink: "#e7e9eb",
  quiet: "#a2abb4",
  line: "#343b43",
  edge: "#5c666f",
  accent: "#7db3f2",
  tint: "#203247",
  good: "#74c795",
  warn: "#e3b04e",
  bad: "#ff8f85",
  servers: ["#7fa9e0", "#68bfa3", "#bf9adb", "#e0a070", "#e08bab", "#a9c46c", "#84b9cc", "#bba987"],
};

export const FONT = '"Inter", "Segoe UI", "Helvetica Neue", Arial, sans-serif';
export const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace';
