/** Before the browser's tests: the page is built, and the site. */
import { buildPage } from "./build-page.mjs";
import { buildSite } from "./site.mjs";

export default async function setup() {
  await buildPage();
  await buildSite({ withReference: false });
}
