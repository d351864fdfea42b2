"""Which mailboxes may hand in mail by SMTP: the switches of SMTP AUTH, read, planned, set and put back.

Owns: the three values of a mailbox's switch and the organization's, who cannot have SMTP AUTH and why, plans, the
record of values before, exceptions with an end, the same work as a PowerShell script, and the Pulumi resource. Does not
own: the line to Exchange Online (``microsoft.exchange``), where records are kept (``journal``), and why mail does not
go out (``diagnose``).

Sending by Microsoft Graph (Mail.Send) needs none of this: SMTP AUTH is for products that speak SMTP, with a password or
with OAuth (SMTP.Send).
"""
