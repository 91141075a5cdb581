// Who is signed in. The session itself is a cookie that no script can read.

import { Failure, ask } from "./api.js";

export class Account {
  constructor() {
    this.who = null;
    this.changed = () => {};
  }

  get signedIn() {
    return Boolean(this.who?.signed_in);
  }

  get name() {
    return this.who?.name ?? "";
  }

  async learn() {
    try {
      this.who = await ask("/whoami");
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.who = null;
    }
    this.changed();
  }

  /** By `{ token }`, or `{ name, password }`. */
  async signIn(proof) {
    await ask("/sign-in", { method: "POST", body: proof });
    await this.learn();
  }

  async signOut() {
    await ask("/sign-out", { method: "POST", body: {} });
    await this.learn();
  }
}
