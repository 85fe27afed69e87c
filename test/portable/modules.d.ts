/** Made by scripts/portable/bundle.mjs. */
declare module "portable:fixtures" {
  /** The text of each fixture by its path in the repository. */
  const files: Readonly<Record<string, string>>;
  export default files;
}
