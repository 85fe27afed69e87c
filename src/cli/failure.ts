/** Something that ends the command with a sentence for the person who called it. */
export class Failure extends Error {
  override readonly name = "Failure";
}
