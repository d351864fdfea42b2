"""Microsoft Entra as mail clients meet it: sign-in, consent and tokens, with Entra's own refusals."""
