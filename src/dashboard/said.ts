/** The result of an action, which a screen reader reads out. */
export interface Said {
  readonly tone: "good" | "bad";
  readonly text: string;
}
