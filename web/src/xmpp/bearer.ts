/** OAUTHBEARER (RFC 7628) for the factory of saslmechanisms: the token stands in the password's place. */
export class OauthBearer {
  readonly name = "OAUTHBEARER";
  readonly clientFirst = true;
  private refused = false;

  response({ password }: { password: string }): string {
    // Section 3.2.3: what the server said of the failure is acknowledged by this.
    return this.refused ? "\x01" : `n,,\x01auth=Bearer ${password}\x01\x01`;
  }

  challenge(): void {
    this.refused = true;
  }

  final(): void {}
}
