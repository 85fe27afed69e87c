/** The page as one file: markup, styles, script and rooms, and a policy that lets in nothing else. */
import { EMBEDDED } from "./embedded.js";
import type { Embedded } from "./embedded.js";

export interface Assets {
  readonly script: string;
  readonly style: string;
  /** `sha256-…` of script and style, in base64. */
  readonly scriptHash: string;
  readonly styleHash: string;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** JSON that no text in it can end early. */
function dataText(data: Embedded): string {
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}

export function documentOf(title: string, data: Embedded, { script, style, scriptHash, styleHash }: Assets): string {
  const policy = [
    "default-src 'none'",
    `script-src '${scriptHash}'`,
    `style-src '${styleHash}'`,
    "worker-src blob:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<div id="app"></div>
<noscript>This page needs JavaScript; everything that it does, it does here.</noscript>
<script type="application/json" id="${EMBEDDED}">${dataText(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}
